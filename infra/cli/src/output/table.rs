//! Tables: aligned by the columns that characters take, and cut to the terminal's width on a terminal only.

use super::{
    Output,
    style::Style,
    text::{cut, visible, width},
};

/// The space between two columns.
const GAP: usize = 2;
/// The least columns that a flexible column keeps.
const FLEXIBLE_MIN: usize = 12;

/// The heading of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    /// Whether its cells may be cut where the terminal is narrow.
    flexible: bool,
}

impl Column {
    /// A column whose cells are shown as a whole, such as ids.
    pub(crate) const fn whole(title: &'static str) -> Self {
        Self { title, flexible: false }
    }

    /// A column whose cells may be cut.
    pub(crate) const fn flexible(title: &'static str) -> Self {
        Self { title, flexible: true }
    }
}

/// A cell. Its text was made harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with a text that may come from the server.
    pub(crate) fn new(text: &str) -> Self {
        Self::styled(text, Style::Plain)
    }

    /// The same with a style.
    pub(crate) fn styled(text: &str, style: Style) -> Self {
        Self { text: visible(text).into_owned(), style }
    }

    /// The status of a webhook, a delivery or a recovery.
    pub(crate) fn status(status: &str) -> Self {
        Self::styled(status, Style::of_status(status))
    }

    /// A text, or `-` if there is none.
    pub(crate) fn optional(text: Option<&str>) -> Self {
        text.map_or_else(|| Self::styled("-", Style::Faint), Self::new)
    }
}

/// A table, or one part of a table that is printed in parts.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<Cell>>,
    /// The widest cell of each column so far, the earlier parts included.
    widths: Vec<usize>,
    heading: bool,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        let widths = columns.iter().map(|column| width(column.title)).collect();
        Self { columns, rows: vec![], widths, heading: true }
    }

    /// Adds a row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        for (widest, cell) in self.widths.iter_mut().zip(&cells) {
            *widest = width(&cell.text).max(*widest);
        }
        self.rows.push(cells);
    }

    /// Begins the next part: the same columns, without the rows and without the heading.
    pub(crate) fn next_part(&mut self) {
        self.rows.clear();
        self.heading = false;
    }

    /// The lines of this part.
    pub(super) fn lines(&self, output: Output) -> Vec<String> {
        let widths = self.fitting(output.width);
        let heading: Vec<_> = self.columns.iter().map(|column| Cell::styled(column.title, Style::Strong)).collect();
        let heading = self.heading.then_some(&heading);
        let lines = heading.into_iter().chain(&self.rows).map(|cells| line(cells, &widths, output));
        lines.collect()
    }

    /// The width of each column, so that a row fits into `available` columns if the flexible ones can give way.
    fn fitting(&self, available: Option<usize>) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(available) = available else { return widths };
        let needed = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        while needed(&widths) > available {
            let flexible = self.columns.iter().zip(&mut widths).filter(|(column, _)| column.flexible);
            let widest = flexible.map(|(_, width)| width).filter(|width| **width > FLEXIBLE_MIN).max();
            let Some(widest) = widest else { break };
            *widest -= 1;
        }
        widths
    }
}

/// A line of cells, without spaces at its end.
fn line(cells: &[Cell], widths: &[usize], output: Output) -> String {
    let (mut line, mut used) = (String::new(), 0);
    let mut start = 0;
    for (cell, column) in cells.iter().zip(widths) {
        let left = output.width.map_or(*column, |all| all.saturating_sub(start).min(*column));
        let text = cut(&cell.text, left);
        if !text.is_empty() {
            line.push_str(&" ".repeat(start - used));
            line.push_str(&output.paint(cell.style, &text));
            used = start + width(&text);
        }
        start += column + GAP;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column::whole("ID"), Column::flexible("URL"), Column::whole("STATUS")];

    fn printed(width: Option<usize>, color: bool) -> Vec<String> {
        let mut table = Table::new(COLUMNS);
        table.row(vec![Cell::new("wh_1"), Cell::new("https://日本.example/webhooks"), Cell::status("enabled")]);
        table.row(vec![Cell::new("wh_20"), Cell::new("a\x1bb"), Cell::optional(None)]);
        table.lines(Output { json: false, width, color })
    }

    #[test]
    fn columns_are_aligned_by_what_characters_take() {
        let expected = [
            "ID     URL                            STATUS",
            "wh_1   https://日本.example/webhooks  enabled",
            "wh_20  a\\u{1b}b                       -",
        ];
        assert_eq!(printed(None, false), expected);
    }

    #[test]
    fn a_narrow_terminal_cuts_the_flexible_columns() {
        let expected = ["ID     URL           STATUS", "wh_1   https://日…   enabled", "wh_20  a\\u{1b}b      -"];
        assert_eq!(printed(Some(28), false), expected);
        let widest = printed(Some(10), false).iter().map(|line| width(line)).max();
        assert_eq!(widest, Some(10), "a terminal without room for all columns cuts the line");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let line = &printed(None, true)[1];
        assert!(line.ends_with("  \x1b[32menabled\x1b[0m"), "{line:?}");
    }

    #[test]
    fn a_later_part_has_the_columns_of_the_first() {
        let mut table = Table::new(COLUMNS);
        table.row(vec![Cell::new("a-long-id"), Cell::new("x"), Cell::new("y")]);
        table.next_part();
        table.row(vec![Cell::new("b"), Cell::new("x"), Cell::new("y")]);
        assert_eq!(table.lines(Output { json: false, width: None, color: false }), ["b          x    y"]);
    }
}
