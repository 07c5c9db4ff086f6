//! Checks that each function's role grants exactly the AWS calls that the function's code makes, on
//! the tables and queues that it uses.
//!
//! The test finds the calls by reading the source: it starts at every function of a crate below
//! `functions/`, follows the calls into `shared/`, and ends at the calls of the SDK's clients. A
//! setting (`settings.deliveries`), in the call itself or in a caller, names the table or queue.
//! The template says which resource a setting holds.

use regex_lite::Regex;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use strict_aws::template::{function_of, items, resources, template, text};

/// An IAM action and its resource: the resource's logical id in the template, or the setting that
/// holds its name.
type Grant = (String, String);

/// The crates below `functions/`, each with its function and its role in the template.
const FUNCTIONS: [(&str, &str, &str); 4] = [
    ("api", "ApiFunction", "ApiRole"),
    ("publish", "PublishFunction", "PublishRole"),
    ("deliver", "DeliverFunction", "DeliverRole"),
    ("retry", "RetryFunction", "RetryRole"),
];
/// The actions of Lambda in the role of a function with a queue.
const QUEUE_ACTIONS: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
/// The actions of Lambda in the role of every function.
const LOG_ACTIONS: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

#[test]
fn each_role_grants_exactly_the_calls_of_its_function() {
    let faults = faults(&template());
    assert!(faults.is_empty(), "{faults:#?}");
}

/// For each grant of each role: the check fails if the grant is removed or is for another table or
/// queue.
#[test]
fn every_wrong_grant_is_found() {
    let template = template();
    let known = faults(&template);
    let mut mutants = 0;
    for (_, _, role) in FUNCTIONS {
        for path in statement_paths(&template, role) {
            let statement = template.pointer(&path).expect("a statement");
            for mutated in mutations(&template, statement) {
                let mut mutant = template.clone();
                *mutant.pointer_mut(&path).expect("a statement") = mutated.clone();
                assert_ne!(faults(&mutant), known, "{role}: not found: {mutated}");
                mutants += 1;
            }
        }
    }
    assert!(mutants > 100, "only {mutants} mutants");
}

/// Without this grant, rate-limited webhooks received nothing: a delivery is read before its rate
/// slot is reserved.
#[test]
fn deliver_may_read_one_delivery() {
    let mut template = template();
    for path in statement_paths(&template, "DeliverRole") {
        let statement = template.pointer_mut(&path).expect("a statement");
        if statement["Resource"] == json!([{"Fn::GetAtt": "DeliveriesTable.Arn"}]) {
            statement["Action"].as_array_mut().expect("actions").retain(|action| action != "dynamodb:GetItem");
        }
    }
    let missing = ("deliver lacks", "dynamodb:GetItem".to_owned(), "DeliveriesTable".to_owned());
    let faults = faults(&template);
    assert!(faults.contains(&missing), "{faults:#?}");
}

#[test]
fn no_role_has_a_wildcard_resource_except_where_aws_has_no_other() {
    let template = template();
    for (role, properties) in resources(&template, "AWS::IAM::Role") {
        for statement in statements(properties) {
            let everywhere = items(&statement["Resource"]).iter().any(|resource| resource == "*");
            let is_known = ["Traces", "Network", "Alarms"].contains(&text(&statement["Sid"]));
            assert!(!everywhere || is_known, "{role}: {statement:#}");
        }
    }
}

/// The actions that each function's code calls, with the settings that name their resources.
static CALLED: LazyLock<BTreeMap<&'static str, BTreeSet<Grant>>> = LazyLock::new(|| {
    let all: BTreeMap<_, _> = FUNCTIONS.map(|(function, ..)| (function, called(function))).into();
    for (function, called) in &all {
        assert!(called.len() > 1, "{function} seems to make no calls: {called:?}");
    }
    all
});

/// Returns what the roles lack and what they grant without need.
fn faults(template: &Value) -> BTreeSet<(&'static str, String, String)> {
    let mut faults = BTreeSet::new();
    for (name, function, role) in FUNCTIONS {
        let (lacks, unneeded) = match name {
            "api" => ("api lacks", "api does not need"),
            "publish" => ("publish lacks", "publish does not need"),
            "deliver" => ("deliver lacks", "deliver does not need"),
            _ => ("retry lacks", "retry does not need"),
        };
        let calls = CALLED[name].iter().map(|(action, setting)| (action.clone(), resource_of(template, setting)));
        let needed: BTreeSet<Grant> = calls.chain(lambdas_own(template, function)).collect();
        let granted: Vec<Grant> = always_granted(template, role).collect();
        let fault = |what, grant: &Grant| (what, grant.0.clone(), grant.1.clone());
        let missing = needed.iter().filter(|grant| !granted.contains(grant));
        faults.extend(missing.map(|grant| fault(lacks, grant)));
        // The second of two equal grants is not needed.
        let times = |grant: &Grant| granted.iter().filter(|other| *other == grant).count();
        let unused = granted.iter().filter(|grant| !needed.contains(*grant) || times(grant) > 1);
        faults.extend(unused.map(|grant| fault(unneeded, grant)));
    }
    faults
}

/// Returns what Lambda itself does in a function's role: it receives from the function's queues,
/// writes its log, and sends failed events to its dead-letter queue.
fn lambdas_own<'a>(template: &'a Value, function: &'a str) -> impl Iterator<Item = Grant> + 'a {
    let mappings = resources(template, "AWS::Lambda::EventSourceMapping")
        .filter(move |(_, mapping)| function_of(&mapping["FunctionName"]) == function);
    let received = mappings.flat_map(|(_, mapping)| on(&QUEUE_ACTIONS, &mapping["EventSourceArn"]));
    let properties = &template["Resources"][function]["Properties"];
    let logged = on(&LOG_ACTIONS, &properties["LoggingConfig"]["LogGroup"]);
    let given_up = properties.get("DeadLetterQueue").map(|queue| on(&["sqs:SendMessage"], &queue["TargetArn"]));
    received.chain(logged).chain(given_up.into_iter().flatten())
}

/// Returns a grant of each action on the resource that a value names.
fn on(actions: &[&str], resource: &Value) -> Vec<Grant> {
    actions.iter().map(|action| ((*action).to_owned(), named(resource))).collect()
}

/// Returns the logical id of the resource whose name or ARN a setting holds.
fn resource_of(template: &Value, setting: &str) -> String {
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    named(&variables[setting.to_uppercase()])
}

/// Returns the logical id of the resource that a value names: by `Ref`, by `GetAtt`, or within a
/// text.
fn named(value: &Value) -> String {
    if let Some(name) = value["Ref"].as_str() {
        return name.to_owned();
    }
    if let Some(attribute) = value["Fn::GetAtt"].as_str() {
        return attribute.split('.').next().unwrap_or_default().to_owned();
    }
    let within = Regex::new(r"\$\{(\w+)\}").expect("a pattern");
    let text = value["Fn::Sub"].as_str().unwrap_or_else(|| panic!("{value} names no resource"));
    within.captures(text).unwrap_or_else(|| panic!("{text} names no resource"))[1].to_owned()
}

/// Returns what a role grants whatever the stack's parameters are. The other grants, for X-Ray and
/// for the operator's own key, are not for calls of the code.
fn always_granted<'a>(template: &'a Value, role: &str) -> impl Iterator<Item = Grant> + 'a {
    let statements = statements(&template["Resources"][role]["Properties"]).into_iter();
    let always = statements.filter(|statement| !is_conditional(statement));
    always.flat_map(|statement| {
        let actions: Vec<_> = items(&statement["Action"]).iter().map(text).collect();
        items(&statement["Resource"]).iter().flat_map(move |resource| on(&actions, resource))
    })
}

fn is_conditional(statement: &Value) -> bool {
    matches!(text(&statement["Sid"]), "Key" | "Traces" | "Network")
}

/// Returns a role's statements, conditional ones included.
fn statements(role: &Value) -> Vec<&Value> {
    let policies = items(&role["Policies"]).iter();
    let statements = policies.flat_map(|policy| items(&policy["PolicyDocument"]["Statement"]));
    statements.map(|statement| statement.get("Fn::If").map_or(statement, |choice| &choice[1])).collect()
}

/// Returns the JSON pointers of a role's unconditional statements.
fn statement_paths(template: &Value, role: &str) -> Vec<String> {
    let role_path = format!("/Resources/{role}/Properties/Policies");
    let policies = items(template.pointer(&role_path).expect("policies")).iter().enumerate();
    let paths = policies.flat_map(|(policy, value)| {
        let statements = items(&value["PolicyDocument"]["Statement"]).iter().enumerate();
        let always = statements.filter(|(_, statement)| statement.get("Fn::If").is_none());
        let role_path = &role_path;
        always.map(move |(at, _)| format!("{role_path}/{policy}/PolicyDocument/Statement/{at}"))
    });
    paths.collect()
}

/// Returns wrong variants of a statement: each lacks one action or one resource, or has another
/// table or queue in place of one resource.
fn mutations(template: &Value, statement: &Value) -> Vec<Value> {
    let mut mutations = Vec::new();
    for list in ["Action", "Resource"] {
        for at in 0..items(&statement[list]).len() {
            let mut mutant = statement.clone();
            mutant[list].as_array_mut().expect("a list").remove(at);
            mutations.push(mutant);
        }
    }
    let present = items(&statement["Resource"]);
    for kind in ["AWS::DynamoDB::Table", "AWS::SQS::Queue"] {
        let all: Vec<_> = resources(template, kind).map(|(id, _)| json!({"Fn::GetAtt": format!("{id}.Arn")})).collect();
        for (at, _) in present.iter().enumerate().filter(|(_, resource)| all.contains(resource)) {
            for other in all.iter().filter(|other| !present.contains(other)) {
                let mut mutant = statement.clone();
                mutant["Resource"][at] = other.clone();
                mutations.push(mutant);
            }
        }
    }
    mutations
}

/// Returns the IAM actions of all SDK calls that a function's code can reach, each with the setting
/// that names its resource.
fn called(function: &str) -> BTreeSet<Grant> {
    let code = Code::read(function);
    let mut reached: BTreeSet<usize> = (0..code.functions.len()).filter(|at| code.functions[*at].is_own).collect();
    let mut unread: Vec<_> = reached.iter().copied().collect();
    // The callers of each function, with the arguments of each call.
    let mut callers: BTreeMap<usize, Vec<(usize, String)>> = BTreeMap::new();
    while let Some(at) = unread.pop() {
        for (callee, arguments) in code.callees(at) {
            callers.entry(callee).or_default().push((at, arguments));
            if reached.insert(callee) {
                unread.push(callee);
            }
        }
    }
    let client_call = Regex::new(r"\.(dynamodb|sqs|scheduler)\s*\.\s*([a-z_]+)\(").expect("a pattern");
    let mut called = BTreeSet::new();
    for at in reached {
        let body = &code.functions[at].body;
        for call in client_call.captures_iter(body) {
            let (service, operation) = (&call[1], &call[2]);
            if operation == "clone" {
                continue; // clones the client
            }
            let rest = &body[call.get(0).expect("the whole").start()..];
            let settings = code.settings_of(service, rest, at, &callers);
            let name = &code.functions[at].name;
            assert!(!settings.is_empty(), "{function}: no setting names the resource of {operation} in {name}");
            called.extend(settings.into_iter().map(|setting| (action(service, operation), setting)));
            if operation == "create_schedule" {
                // The call passes the role in which the schedule invokes its target.
                called.insert(("iam:PassRole".to_owned(), "scheduler_role_arn".to_owned()));
            }
        }
    }
    called
}

/// Returns the IAM action of an SDK operation: `dynamodb:GetItem` for `get_item`.
fn action(service: &str, operation: &str) -> String {
    let words = operation.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    let operation: String = words.collect();
    // IAM has no actions for batches: `sqs:SendMessage` covers `SendMessageBatch`.
    let operation = if service == "sqs" { operation.trim_end_matches("Batch") } else { &operation };
    format!("{service}:{operation}")
}

/// Returns the settings in a piece of code that name resources of a service.
fn settings_in(service: &str, code: &str) -> BTreeSet<String> {
    let (setting, rest_of_name) = match service {
        "dynamodb" => (r"\bsettings\s*\.\s*(webhooks|events|deliveries)\b", "_table"),
        "sqs" => (r"\bsettings\s*\.\s*(\w+)_url\b", "_queue_url"),
        _ => (r"\bsettings\s*\.\s*(schedule_group)\b", ""),
    };
    let setting = Regex::new(setting).expect("a pattern");
    setting.captures_iter(code).map(|found| format!("{}{rest_of_name}", &found[1])).collect()
}

/// A function in the source.
struct Function {
    module: String,
    name: String,
    is_method: bool,
    /// Whether it belongs to the crate below `functions/`, not to `shared/`.
    is_own: bool,
    body: String,
    file: PathBuf,
}

/// The source of one crate below `functions/` and of `shared/`.
struct Code {
    functions: Vec<Function>,
    /// The `use` declarations of each file, and the original of each name that they rename.
    imports: BTreeMap<PathBuf, (String, BTreeMap<String, String>)>,
}

impl Code {
    fn read(function: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut code = Self { functions: Vec::new(), imports: BTreeMap::new() };
        code.read_folder(&root.join(format!("functions/{function}/src")), true);
        code.read_folder(&root.join("shared"), false);
        code
    }

    fn read_folder(&mut self, folder: &Path, is_own: bool) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.read_folder(&path, is_own);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests(&path) {
                self.read_file(&path, is_own);
            }
        }
    }

    fn read_file(&mut self, path: &Path, is_own: bool) {
        let source = fs::read_to_string(path).expect("a source");
        // A module's unit tests stand at its end.
        let tests = Regex::new(r"#\[cfg\(test\)\]\nmod \w+ \{").expect("a pattern");
        let source = tests.find(&source).map_or(&*source, |found| &source[..found.start()]);
        let comment = Regex::new(r"(?m)//.*$").expect("a pattern");
        let source = comment.replace_all(source, "").into_owned();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let folder =
            |up: usize| path.ancestors().nth(up).and_then(Path::file_name).expect("a folder").to_string_lossy();
        let module = match stem.as_str() {
            "mod" => folder(1).into_owned(),
            // In src/, in the crate's folder.
            "lib" => folder(2).into_owned(),
            _ => stem,
        };
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
            let body = enclosed(&rest[open..]).to_owned();
            let (name, file) = (found[1].to_owned(), path.to_owned());
            self.functions.push(Function { module: module.clone(), name, is_method, is_own, body, file });
        }
    }

    /// Returns the settings that name the resource of an SDK call. `rest` is the code from the call
    /// on, in the function `at`.
    ///
    /// Looks first at the call's argument and at the functions that are called there, then at the
    /// value of the variable that is the argument. Last come the callers: the arguments that they
    /// pass, or else their bodies, or else their own callers.
    fn settings_of(
        &self,
        service: &str,
        rest: &str,
        at: usize,
        callers: &BTreeMap<usize, Vec<(usize, String)>>,
    ) -> BTreeSet<String> {
        let statement = rest.split(';').next().unwrap_or_default();
        let named = Regex::new(r"\.\s*(table_name|queue_url|group_name|set_request_items)\(").expect("a pattern");
        let argument = named.find(statement).map_or("", |found| enclosed(&statement[found.end() - 1..]));
        let mut found = self.settings_behind(service, argument, at);
        let variable = Regex::new(r"^\(\s*&?(\w+)\s*\)$").expect("a pattern");
        if let Some(variable) = variable.captures(argument).filter(|_| found.is_empty()) {
            let set = Regex::new(&format!(r"\blet (mut )?{}\b[^;]*;", &variable[1])).expect("a pattern");
            let values = set.find_iter(&self.functions[at].body);
            found = values.flat_map(|value| self.settings_behind(service, value.as_str(), at)).collect();
        }
        if argument.is_empty() || !found.is_empty() {
            return found;
        }
        let (mut seen, mut unread) = (BTreeSet::from([at]), vec![at]);
        while let Some(callee) = unread.pop() {
            for (caller, arguments) in callers.get(&callee).into_iter().flatten() {
                let passed = settings_in(service, arguments);
                let in_body = settings_in(service, &self.functions[*caller].body);
                if !passed.is_empty() {
                    found.extend(passed);
                } else if !in_body.is_empty() {
                    found.extend(in_body);
                } else if seen.insert(*caller) {
                    unread.push(*caller);
                }
            }
        }
        found
    }

    /// Returns the settings in a piece of the function `at` and in the functions that the piece
    /// calls.
    fn settings_behind(&self, service: &str, piece: &str, at: usize) -> BTreeSet<String> {
        let mut found = settings_in(service, piece);
        for (callee, _) in self.callees_of(piece, &self.functions[at].file) {
            found.extend(settings_in(service, &self.functions[callee].body));
        }
        found
    }

    /// Returns the functions that a function's body may call, with the arguments.
    fn callees(&self, at: usize) -> Vec<(usize, String)> {
        let Function { body, file, .. } = &self.functions[at];
        self.callees_of(body, file)
    }

    /// Returns the functions that a piece of a file may call, with the arguments. A call that is
    /// ambiguous counts for every function that it may mean.
    fn callees_of(&self, piece: &str, file: &Path) -> Vec<(usize, String)> {
        static CALL: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(\.\s*|\w+::)?\b(\w+)(::<[^>]*>)?\(").expect("a pattern"));
        let (used, renamed) = &self.imports[file];
        let mut found = Vec::new();
        for call in CALL.captures_iter(piece) {
            let arguments = enclosed(&piece[call.get(0).expect("the whole").end() - 1..]);
            let (before, name) = (call.get(1).map_or("", |before| before.as_str()), &call[2]);
            let module = before.strip_suffix("::").map(|module| renamed.get(module).map_or(module, String::as_str));
            let imported = || Regex::new(&format!(r"\b{name}\b")).expect("a name").is_match(used);
            let callees = (0..self.functions.len()).filter(|at| {
                let callee = &self.functions[*at];
                callee.name == name
                    && match module {
                        // An associated function of a type, or a function of a module.
                        Some("Self") => callee.file == file,
                        Some(module) if module.starts_with(char::is_uppercase) => true,
                        Some(module) => callee.module == module,
                        None if before.starts_with('.') => callee.is_method,
                        None => callee.file == file || imported(),
                    }
            });
            found.extend(callees.map(|callee| (callee, arguments.to_owned())));
        }
        found
    }
}

/// Whether a file holds only unit tests.
fn is_of_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

/// Returns the start of `text`, which begins with a brace or a parenthesis, up to the one that
/// closes it.
fn enclosed(text: &str) -> &str {
    let (open, close) = if text.starts_with('(') { ('(', ')') } else { ('{', '}') };
    let mut depth = 0;
    let end = text.char_indices().find(|(_, character)| {
        depth += i32::from(*character == open) - i32::from(*character == close);
        depth == 0
    });
    end.map_or(text, |(at, _)| &text[..=at])
}
