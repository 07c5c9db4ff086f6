//! Each function's role grants the actions that the function's code calls, and no other.
//!
//! The code's actions are read off its source: from every function of a crate below `functions/`, along the calls into
//! `shared/`, to the calls of the SDK's clients.

use regex_lite::Regex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use strict_aws::template::{items, resources, template, text};

/// What Lambda does in the role of a function that a queue feeds.
const FED_BY_A_QUEUE: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
/// What Lambda does in any function's role.
const LOGGED: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

#[test]
fn a_role_grants_what_its_function_calls_and_nothing_else() {
    let template = template();
    for (function, role, is_fed_by_a_queue) in [
        ("api", "ApiRole", false),
        ("publish", "PublishRole", true),
        ("deliver", "DeliverRole", true),
        ("retry", "RetryRole", false),
    ] {
        let mut needed: BTreeSet<String> = called(function);
        assert!(needed.len() > 1, "{function} seems to call nothing: {needed:?}");
        needed.extend(LOGGED.map(str::to_owned));
        if is_fed_by_a_queue {
            needed.extend(FED_BY_A_QUEUE.map(str::to_owned));
        }
        if needed.contains("scheduler:CreateSchedule") {
            // The schedule is handed the role that it invokes in.
            needed.insert("iam:PassRole".to_owned());
        }
        let granted: BTreeSet<_> = always_granted(&template, role).collect();
        let missing: Vec<_> = needed.difference(&granted).collect();
        let unused: Vec<_> = granted.difference(&needed).collect();
        assert!(missing.is_empty() && unused.is_empty(), "{role} lacks {missing:?} and grants {unused:?} for nothing");
    }
}

#[test]
fn no_role_is_granted_any_resource_where_aws_allows_a_name() {
    let template = template();
    for (role, properties) in resources(&template, "AWS::IAM::Role") {
        for statement in statements(properties) {
            let everywhere = items(&statement["Resource"]).iter().any(|resource| resource == "*");
            assert!(!everywhere || statement["Sid"] == "Traces", "{role}: {statement:#}");
        }
    }
}

/// The actions that a role grants without a condition on the stack's parameters: those for X-Ray and for a key of the
/// operator's own are no calls of the code.
fn always_granted<'a>(template: &'a Value, role: &str) -> impl Iterator<Item = String> + 'a {
    let statements = statements(&template["Resources"][role]["Properties"]).into_iter();
    let always = statements.filter(|statement| !matches!(text(&statement["Sid"]), "Key" | "Traces"));
    always.flat_map(|statement| items(&statement["Action"]).iter().map(|action| text(action).to_owned()))
}

/// A role's statements, those under a condition included.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = items(&role["Policies"]).iter();
    let statements = policies.flat_map(|policy| items(&policy["PolicyDocument"]["Statement"]));
    statements.map(|statement| statement.get("Fn::If").map_or(statement, |choice| &choice[1])).collect()
}

/// The IAM actions of the SDK calls that a function's code comes to.
fn called(function: &str) -> BTreeSet<String> {
    let code = Code::read(function);
    let mut reached: BTreeSet<usize> = (0..code.functions.len()).filter(|at| code.functions[*at].is_own).collect();
    let mut ahead: Vec<_> = reached.iter().copied().collect();
    while let Some(at) = ahead.pop() {
        for callee in code.callees(at) {
            if reached.insert(callee) {
                ahead.push(callee);
            }
        }
    }
    let client_call = Regex::new(r"\.(dynamodb|sqs|scheduler)\s*\.\s*([a-z_]+)\(").expect("a pattern");
    let bodies = reached.iter().map(|at| &code.functions[*at].body);
    bodies
        .flat_map(|body| client_call.captures_iter(body).map(|call| action(&call[1], &call[2])).collect::<Vec<_>>())
        .collect()
}

/// `dynamodb:GetItem` of `get_item`.
fn action(service: &str, operation: &str) -> String {
    let words = operation.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    let operation: String = words.collect();
    // IAM knows a batch of messages by what is done to each.
    let operation = if service == "sqs" { operation.trim_end_matches("Batch") } else { &operation };
    format!("{service}:{operation}")
}

struct Function {
    module: String,
    name: String,
    is_method: bool,
    /// Whether it is the function's crate's, not the library's.
    is_own: bool,
    body: String,
    file: PathBuf,
}

/// The source of one crate below `functions/` and of the library.
struct Code {
    functions: Vec<Function>,
    /// What each file imports, and under which other names.
    imports: BTreeMap<PathBuf, (String, BTreeMap<String, String>)>,
}

impl Code {
    fn read(function: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut code = Self { functions: Vec::new(), imports: BTreeMap::new() };
        for (folder, is_own) in [(format!("functions/{function}/src"), true), ("shared/src".to_owned(), false)] {
            code.read_folder(&root.join(folder), is_own);
        }
        code
    }

    fn read_folder(&mut self, folder: &Path, is_own: bool) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.read_folder(&path, is_own);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.read_file(&path, is_own);
            }
        }
    }

    fn read_file(&mut self, path: &Path, is_own: bool) {
        let source = fs::read_to_string(path).expect("a source");
        let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let comment = Regex::new(r"(?m)//.*$").expect("a pattern");
        let source = comment.replace_all(source, "").into_owned();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let folder = path.parent().and_then(Path::file_name).expect("a folder").to_string_lossy().into_owned();
        let module = if stem == "mod" { folder } else { stem };
        let used = Regex::new(r"(?s)\buse [^;]+;").expect("a pattern");
        let used: String = used.find_iter(&source).map(|found| found.as_str()).collect();
        let renamed = Regex::new(r"(\w+)(?:::\{?\s*self)? as (\w+)").expect("a pattern");
        let renamed = renamed.captures_iter(&used).map(|name| (name[2].to_owned(), name[1].to_owned())).collect();
        self.imports.insert(path.to_owned(), (used, renamed));
        let head = Regex::new(r"\bfn (\w+)").expect("a pattern");
        for found in head.captures_iter(&source) {
            let rest = &source[found.get(0).expect("the whole").start()..];
            let Some(open) = rest.find(['{', ';']).filter(|at| rest[*at..].starts_with('{')) else { continue };
            let is_method =
                Regex::new(r"^fn \w+(<[^(]*>)?\(\s*(&?\s*mut |&)?\s*self\b").expect("a pattern").is_match(rest);
            let body = braced(&rest[open..]).to_owned();
            let (name, file) = (found[1].to_owned(), path.to_owned());
            self.functions.push(Function { module: module.clone(), name, is_method, is_own, body, file });
        }
    }

    /// The functions that a function's body may call: rather one too many than one too few.
    fn callees(&self, at: usize) -> Vec<usize> {
        let Function { body, file, .. } = &self.functions[at];
        let (used, renamed) = &self.imports[file];
        let call = Regex::new(r"(\.\s*|\w+::)?\b(\w+)(::<[^>]*>)?\(").expect("a pattern");
        let mut found = Vec::new();
        for call in call.captures_iter(body) {
            let (before, name) = (call.get(1).map_or("", |before| before.as_str()), &call[2]);
            let module = before.strip_suffix("::").map(|module| renamed.get(module).map_or(module, String::as_str));
            let imported = || Regex::new(&format!(r"\b{name}\b")).expect("a name").is_match(used);
            found.extend((0..self.functions.len()).filter(|at| {
                let callee = &self.functions[*at];
                callee.name == name
                    && match module {
                        // A type's own function, or a module's.
                        Some("Self") => callee.file == *file,
                        Some(module) if module.starts_with(char::is_uppercase) => true,
                        Some(module) => callee.module == module,
                        None if before.starts_with('.') => callee.is_method,
                        None => callee.file == *file || imported(),
                    }
            }));
        }
        found
    }
}

/// What begins with a brace, up to the one that closes it.
fn braced(text: &str) -> &str {
    let mut depth = 0;
    let end = text.char_indices().find(|(_, character)| {
        depth += match character {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth == 0
    });
    end.map_or(text, |(at, _)| &text[..=at])
}
