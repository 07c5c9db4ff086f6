//! Lists: one page, or all of them.

use crate::{
    client::{
        Answer, Error,
        page::{Page, Wanted},
    },
    output::{
        Output,
        table::{Cell, Column, Table},
        text::visible,
    },
};
use clap::Args;
use serde_json::value::RawValue;
use std::process::ExitCode;

/// The entries of a page, if all pages are wanted.
const LARGEST_PAGE: u32 = 100;

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PageOptions {
    /// The most entries of a page, 1 to 100; 20 if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: Option<u32>,
    /// Where the page begins: what the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
    /// Print all pages.
    #[arg(long)]
    all: bool,
}

impl PageOptions {
    fn first(&self) -> Wanted {
        let limit = self.limit.or(self.all.then_some(LARGEST_PAGE));
        Wanted { limit, cursor: self.cursor.clone() }
    }
}

/// Prints a list, of which `fetch` reads a page.
pub(crate) async fn print<T>(
    out: Output,
    options: &PageOptions,
    (columns, row): (&'static [Column], impl Fn(&T) -> Vec<Cell>),
    fetch: impl AsyncFn(Wanted) -> Result<Answer<Page<T>>, Error>,
) -> anyhow::Result<ExitCode> {
    let mut wanted = options.first();
    let mut page = fetch(wanted.clone()).await?;
    if out.json && !options.all {
        out.json(&page.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut table, mut json) = (Table::new(columns), JsonList::begin(out)?);
    let mut count = 0;
    loop {
        count += page.value.data.len();
        if out.json {
            json.entries(&page.json)?;
        } else {
            page.value.data.iter().for_each(|entry| table.row(row(entry)));
            // An empty page does not mean that the list ends.
            if count > 0 {
                out.table(&table)?;
                table.next_part();
            }
        }
        match page.value.next_cursor {
            Some(next) if options.all => wanted.cursor = Some(next),
            next => {
                json.end()?;
                end_note(out, count, next.as_deref());
                return Ok(ExitCode::SUCCESS);
            }
        }
        page = fetch(wanted.clone()).await?;
    }
}

/// Says how a list that was printed for people goes on.
fn end_note(out: Output, count: usize, next: Option<&str>) {
    match next {
        _ if out.json => {}
        Some(cursor) => eprintln!("There is more: --all prints it, and --cursor {} the next page.", visible(cursor)),
        None if count == 0 => eprintln!("There are none."),
        None => {}
    }
}

/// All pages as one JSON document, printed as they come: `{"data":[…],"next_cursor":null}`.
struct JsonList {
    out: Output,
    any: bool,
}

impl JsonList {
    fn begin(out: Output) -> std::io::Result<Self> {
        if out.json {
            out.line("{\"data\":[")?;
        }
        Ok(Self { out, any: false })
    }

    /// Prints the entries of a page, one a line.
    fn entries(&mut self, json: &str) -> anyhow::Result<()> {
        let page: Page<Box<RawValue>> = serde_json::from_str(json)?;
        for entry in page.data {
            let comma = if self.any { "," } else { "" };
            self.out.json(&format!("{comma}{}", entry.get()))?;
            self.any = true;
        }
        Ok(())
    }

    fn end(self) -> std::io::Result<()> {
        if self.out.json { self.out.line("],\"next_cursor\":null}") } else { Ok(()) }
    }
}
