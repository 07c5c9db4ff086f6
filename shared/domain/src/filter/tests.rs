//! Tests of the whole module: each operator's edge cases, arrays, `$or`, `changed`, faults, the naive matcher, and the bound.

use super::*;

fn read(pattern: &str) -> Result<Pattern, Vec<(String, String)>> {
    let raw = RawValue::from_string(pattern.to_owned()).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    let filter = Filter::read(&raw).map_err(|faults| {
        let faults: Vec<crate::input::Fault> = faults.into();
        faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect::<Vec<_>>()
    })?;
    assert_eq!(filter.as_str(), pattern, "a filter is kept as it is written");
    Ok(filter.compile().expect("a filter that was read compiles"))
}

fn matches(pattern: &str, payload: &str) -> bool {
    let compiled = read(pattern).unwrap_or_else(|faults| panic!("{pattern}: {faults:?}"));
    let document = Document::parse(payload.as_bytes()).unwrap_or_else(|| panic!("not JSON: {payload}"));
    compiled.matches(&document)
}

/// Whether an object in `data.object` matches a pattern of it.
fn object_matches(pattern: &str, object: &str) -> bool {
    let payload = format!(r#"{{"type":"a.b","data":{{"object":{object}}},"previous_data":null}}"#);
    matches(&format!(r#"{{"data":{{"object":{pattern}}}}}"#), &payload)
}

/// Checks a list of a field against values that it accepts, and values that it does not. `-` is a missing field.
#[track_caller]
fn check(list: &str, accepted: &[&str], refused: &[&str]) {
    for (values, expected) in [(accepted, true), (refused, false)] {
        for value in values {
            let object = if *value == "-" { "{}".to_owned() } else { format!(r#"{{"a":{value}}}"#) };
            assert_eq!(object_matches(&format!(r#"{{"a":{list}}}"#), &object), expected, "{list} {value}");
        }
    }
}

#[test]
fn exact_values() {
    check(
        r#"["x","y"]"#,
        &[r#""x""#, r#""y""#, r#"["z","y"]"#, r#""\u0078""#],
        &[r#""X""#, r#""xy""#, "1", "null", "[]", "-"],
    );
    check("[1]", &["1", "1.0", "10e-1", "[0,1]"], &[r#""1""#, "1.5", "true", "-"]);
    check(r#"["1"]"#, &[r#""1""#], &["1"]);
    check("[300]", &["300", "300.0", "3.0e2"], &["301"]);
    check("[3.0e2]", &["300"], &[]);
    check("[true]", &["true"], &["false", r#""true""#, "1"]);
    check("[false]", &["false"], &["true", "null", "0"]);
    check("[null]", &["null", "[null]"], &[r#""null""#, "0", "false", r#""""#, "{}", "[]", "-"]);
    check(r#"[""]"#, &[r#""""#], &["null", "-", r#"" ""#]);
    check(r#"["é\n"]"#, &[r#""\u00e9\u000a""#], &[r#""e\n""#]);
    check("[12345678901234567890123]", &["12345678901234567890123"], &["12345678901234567890124"]);
    check(r#"[1,"x",null]"#, &["1", r#""x""#, "null"], &["2"]);
    check(r#"["10.0.0.1"]"#, &[r#""10.0.0.1""#], &[r#""10.0.0.2""#, r#""10.0.0.1 ""#]);
    check(r#"["2001:db8::1"]"#, &[r#""2001:0DB8:0::0001""#], &[r#""2001:db8::2""#]);
}

#[test]
fn prefixes_and_suffixes() {
    check(
        r#"[{"prefix":"ab"}]"#,
        &[r#""ab""#, r#""abc""#, r#"["x","abc"]"#],
        &[r#""a""#, r#""xab""#, r#""AB""#, "1", "-"],
    );
    check(r#"[{"suffix":".png"}]"#, &[r#""a.png""#, r#"".png""#], &[r#""a.PNG""#, r#"".png.x""#, "1", "-"]);
    check(r#"[{"prefix":""}]"#, &[r#""""#, r#""x""#], &["1", "null", "-"]);
    check(r#"[{"suffix":""}]"#, &[r#""""#, r#""x""#], &["1", "-"]);
    check(
        r#"[{"prefix":{"equals-ignore-case":"EventB"}}]"#,
        &[r#""eventbridge""#, r#""EVENTB""#],
        &[r#""event""#, "1"],
    );
    check(r#"[{"suffix":{"equals-ignore-case":"tBridge"}}]"#, &[r#""EVENTBRIDGE""#], &[r#""tbridges""#]);
    check(r#"[{"prefix":"a"},{"prefix":"ab"},{"prefix":"b"}]"#, &[r#""ax""#, r#""abx""#, r#""b""#], &[r#""c""#]);
    check(r#"[{"prefix":"ö"},{"suffix":"é"}]"#, &[r#""öl""#, r#""café""#], &[r#""o""#, r#""e""#]);
    check(r#"[{"prefix":"10."}]"#, &[r#""10.0.0.1""#], &[r#""1""#]);
}

#[test]
fn equals_ignore_case() {
    check(
        r#"[{"equals-ignore-case":"Alice"}]"#,
        &[r#""ALICE""#, r#""alice""#, r#"["x","aLiCe"]"#],
        &[r#""alices""#, "1", "-"],
    );
    check(r#"[{"equals-ignore-case":""}]"#, &[r#""""#], &[r#""x""#, "null"]);
    check(r#"[{"equals-ignore-case":"ÄΣⱥ"}]"#, &[r#""äσȺ""#, r#""äςⱥ""#], &[r#""aσⱥ""#]);
}

#[test]
fn wildcards() {
    check(
        r#"[{"wildcard":"dir/*.png"}]"#,
        &[r#""dir/a.png""#, r#""dir/.png""#, r#""dir/a/b.png""#],
        &[r#""dir/a.pngx""#, r#""x/dir/a.png""#],
    );
    check(r#"[{"wildcard":"*a*b*"}]"#, &[r#""ab""#, r#""xaxbx""#, r#""aab""#], &[r#""ba""#, r#""""#]);
    check(r#"[{"wildcard":"*"}]"#, &[r#""""#, r#""x""#], &["1", "null", "-"]);
    check(r#"[{"wildcard":"a\\*b"}]"#, &[r#""a*b""#], &[r#""axb""#]);
    check(r#"[{"wildcard":"a\\\\b*"}]"#, &[r#""a\\bc""#], &[r#""abc""#]);
    check(r#"[{"wildcard":"*éa"}]"#, &[r#""xéa""#], &[r#""xea""#]);
    check(r#"[{"wildcard":""}]"#, &[r#""""#], &[r#""x""#]);
}

#[test]
fn anything_but() {
    check(
        r#"[{"anything-but":"x"}]"#,
        &[r#""y""#, r#""X""#, "1", "null", "true", r#"["x","y"]"#],
        &[r#""x""#, r#"["x"]"#, "-", "[]", "{}"],
    );
    check(r#"[{"anything-but":["x","y"]}]"#, &[r#""z""#, "0"], &[r#""x""#, r#""y""#, r#"["x","y"]"#]);
    check(r#"[{"anything-but":100}]"#, &["101", r#""100""#, "null"], &["100", "1e2", "100.0", "-"]);
    check(r#"[{"anything-but":[100,200]}]"#, &["300", r#""x""#], &["1e2", "200"]);
    check(r#"[{"anything-but":""}]"#, &[r#""x""#], &[r#""""#]);
    check(
        r#"[{"anything-but":{"prefix":"init"}}]"#,
        &[r#""running""#, "1", r#""ini""#],
        &[r#""init""#, r#""initializing""#, "-"],
    );
    check(r#"[{"anything-but":{"prefix":["a","b"]}}]"#, &[r#""c""#], &[r#""ax""#, r#""bx""#]);
    check(r#"[{"anything-but":{"suffix":[".png",".jpg"]}}]"#, &[r#""a.gif""#], &[r#""a.png""#, r#""a.jpg""#]);
    check(r#"[{"anything-but":{"equals-ignore-case":["Stopped",""]}}]"#, &[r#""x""#, "1"], &[r#""STOPPED""#, r#""""#]);
    check(
        r#"[{"anything-but":{"wildcard":["*/bin/*","*.class"]}}]"#,
        &[r#""/lib/x""#, "1"],
        &[r#""/bin/x""#, r#""a.class""#],
    );
    check(r#"[{"anything-but":"x"},{"exists":false}]"#, &[r#""y""#, "-"], &[r#""x""#]);
    check(r#"[{"anything-but":"x"},{"anything-but":"y"}]"#, &[r#""x""#, r#""y""#], &["-"]);
}

#[test]
fn numeric() {
    check(r#"[{"numeric":["=",3.018e2]}]"#, &["301.8", "3018e-1"], &["301", r#""301.8""#, "null", "-"]);
    check(r#"[{"numeric":["<",10]}]"#, &["9.999", "-1e300"], &["10", "11", r#""9""#]);
    check(r#"[{"numeric":["<=",10]}]"#, &["10", "10.0"], &["10.0001"]);
    check(r#"[{"numeric":[">",-1.5]}]"#, &["-1.4", "0"], &["-1.5", "-2"]);
    check(r#"[{"numeric":[">=",0]}]"#, &["0", "-0", "1e-9"], &["-1e-9"]);
    check(r#"[{"numeric":[">",0,"<=",5]}]"#, &["0.1", "5", "[9,3]"], &["0", "5.1", "[-1,9]"]);
    check(r#"[{"numeric":[">=",99.999,"<",100]}]"#, &["99.999"], &["100"]);
    check(r#"[{"numeric":[">",0]}]"#, &["1"], &["12345678901234567890123"]);
}

#[test]
fn networks() {
    check(
        r#"[{"cidr":"10.0.0.0/24"}]"#,
        &[r#""10.0.0.0""#, r#""10.0.0.255""#, r#""::ffff:10.0.0.9""#],
        &[r#""10.0.1.0""#, r#""x""#, "10", "-"],
    );
    check(r#"[{"cidr":"10.0.0.77/31"}]"#, &[r#""10.0.0.76""#], &[r#""10.0.0.78""#]);
    check(r#"[{"cidr":"0.0.0.0/0"}]"#, &[r#""255.1.2.3""#], &[r#""::1""#]);
    check(r#"[{"cidr":"2001:db8::/32"}]"#, &[r#""2001:DB8:1::""#], &[r#""2001:db9::""#, r#""10.0.0.1""#]);
}

#[test]
fn exists_is_about_leaves() {
    check(
        r#"[{"exists":true}]"#,
        &["1", "null", r#""""#, "[1]", "[[1]]"],
        &["-", "[]", "{}", r#"{"b":1}"#, r#"[{"b":1}]"#],
    );
    check(r#"[{"exists":false}]"#, &["-", "[]", "{}", r#"{"b":1}"#], &["1", "null", "[null]"]);
    check(r#"["x",{"exists":false}]"#, &[r#""x""#, "-", "[]"], &[r#""y""#, "null"]);
    let nested = r#"{"a":{"b":[{"exists":false}]}}"#;
    for (object, expected) in [
        ("{}", true),
        (r#"{"a":1}"#, true),
        (r#"{"a":{}}"#, true),
        (r#"{"a":{"b":1}}"#, false),
        (r#"{"a":[{"b":[]},{}]}"#, true),
        (r#"{"a":[{"c":1},{"b":1}]}"#, false),
    ] {
        assert_eq!(object_matches(nested, object), expected, "{object}");
    }
}

#[test]
fn the_top_of_the_payload() {
    let payload = |previous: &str| {
        format!(
            r#"{{"id":"evt_1","type":"user.updated","created_at":"2025-02-18T10:30:00Z","data":{{"object":{{"a":1}}}},"previous_data":{previous}}}"#
        )
    };
    for (pattern, previous, expected) in [
        (r#"{"type":["user.updated"]}"#, "null", true),
        (r#"{"type":[{"prefix":"user."}],"data":{"object":{"a":[1]}}}"#, "null", true),
        (r#"{"type":["user.created"]}"#, "null", false),
        (r#"{"previous_data":[null]}"#, "null", true),
        (r#"{"previous_data":[null]}"#, r#"{"a":2}"#, false),
        (r#"{"previous_data":{"a":[2]}}"#, r#"{"a":2}"#, true),
        (r#"{"previous_data":{"a":[{"exists":false}]}}"#, "null", true),
    ] {
        assert_eq!(matches(pattern, &payload(previous)), expected, "{pattern} {previous}");
    }
}

/// The cases of event-ruler's README, `RulerTest`, `ACMachineTest` and `correctness-cases.json`.
#[test]
fn fields_within_one_array_match_in_one_element() {
    let employees = r#"{"e":[[{"f":"John","l":"Doe","ids":[1234,1000]},{"f":"Anna","l":"Smith"}],[{"f":"Peter","l":"Jones","ids":[]}]]}"#;
    let nested = r#"{"u":[{"n":"x","t":[{"k":"color","v":"red"},{"k":"size","v":"blue"}]},{"n":"y","t":{"k":"color","v":"blue"}}]}"#;
    let tagged = r#"{"d":[{"tags":["p","q"],"n":"x"},{"tags":"r"}],"tags":["s"]}"#;
    for (pattern, object, expected) in [
        (r#"{"e":{"f":["Anna"]}}"#, employees, true),
        (r#"{"e":{"f":["Anna"],"l":["Smith"]}}"#, employees, true),
        (r#"{"e":{"f":["Anna"],"l":["Jones"]}}"#, employees, false),
        (r#"{"e":{"f":["Anna"],"l":["Doe"]}}"#, employees, false),
        (r#"{"e":{"f":["John"],"ids":[1000]}}"#, employees, true),
        (r#"{"e":{"f":["Anna"],"ids":[1000]}}"#, employees, false),
        (r#"{"e":{"f":["Anna"],"ids":[{"exists":false}]}}"#, employees, true),
        (r#"{"e":{"f":["John"],"ids":[{"exists":false}]}}"#, employees, false),
        (r#"{"e":{"f":["Peter"],"ids":[{"exists":false}]}}"#, employees, true),
        (r#"{"e":["b"]}"#, employees, false),
        (r#"{"u":{"t":{"k":["color"],"v":["red"]}}}"#, nested, true),
        (r#"{"u":{"t":{"k":["color"],"v":["blue"]}}}"#, nested, true),
        (r#"{"u":{"n":["x"],"t":{"k":["color"],"v":["blue"]}}}"#, nested, false),
        (r#"{"u":{"n":["x"],"t":{"k":["size"],"v":["blue"]}}}"#, nested, true),
        (r#"{"d":{"tags":["q"],"n":["x"]}}"#, tagged, true),
        (r#"{"d":{"tags":["r"],"n":["x"]}}"#, tagged, false),
        (r#"{"d":{"tags":["r"]},"tags":["s"]}"#, tagged, true),
    ] {
        assert_eq!(object_matches(pattern, object), expected, "{pattern} {object}");
    }
}

#[test]
fn a_missing_field_is_judged_in_the_element_that_an_earlier_field_chose() {
    for (pattern, object, expected) in [
        (r#"{"d":{"a":[1],"b":[{"exists":false}]}}"#, r#"{"d":[{"a":1,"b":2},{"a":1}]}"#, true),
        (r#"{"d":{"a":[1],"b":[{"exists":false}]}}"#, r#"{"d":[{"a":1},{"b":1}]}"#, true),
        // No field before `a` has chosen an element, so the whole array is looked at.
        (r#"{"d":{"a":[{"exists":false}],"b":[1]}}"#, r#"{"d":[{"b":1},{"a":1}]}"#, false),
        (r#"{"d":{"a":[{"exists":false}]}}"#, r#"{"d":[{"b":1},{"a":1}]}"#, false),
        (r#"{"d":{"a":["x",{"exists":false}],"b":[1]}}"#, r#"{"d":[{"b":1},{"a":"x","b":1}]}"#, true),
        (r#"{"d":{"a":["x",{"exists":false}],"b":[1]}}"#, r#"{"d":[{"b":1},{"b":2}]}"#, true),
    ] {
        assert_eq!(object_matches(pattern, object), expected, "{pattern} {object}");
    }
}

#[test]
fn or() {
    for (pattern, object, expected) in [
        (r#"{"s":[1],"$or":[{"a":[1]},{"b":[1]}]}"#, r#"{"s":1,"b":1}"#, true),
        (r#"{"s":[1],"$or":[{"a":[1]},{"b":[1]}]}"#, r#"{"b":1}"#, false),
        (r#"{"s":[1],"$or":[{"a":[1]},{"b":[1]}]}"#, r#"{"s":1}"#, false),
        (r#"{"$or":[{"a":[1]},{"b":[1]}],"d":{"$or":[{"x":[1]},{"y":[1]}]}}"#, r#"{"a":1,"d":{"y":1}}"#, true),
        (r#"{"$or":[{"a":[1]},{"b":[1]}],"d":{"$or":[{"x":[1]},{"y":[1]}]}}"#, r#"{"a":1,"b":1}"#, false),
        (r#"{"$or":[{"a":[1]},{"b":[1],"c":[1],"$or":[{"x":[1]},{"y":[1]}]}]}"#, r#"{"b":1,"c":1,"y":1}"#, true),
        (r#"{"$or":[{"a":[1]},{"b":[1],"c":[1],"$or":[{"x":[1]},{"y":[1]}]}]}"#, r#"{"b":1,"y":1}"#, false),
        (r#"{"$or":[{"a":[1]},{"a":[{"prefix":"x"}],"b":[1]}]}"#, r#"{"a":"xy","b":1}"#, true),
        (r#"{"$or":[{"a":[1]},{"a":{"b":[1]}}]}"#, r#"{"a":{"b":1}}"#, true),
        // The combinations respect arrays: `a` and `c`, or `b` and `c`, of one element.
        (r#"{"d":{"$or":[{"a":[1]},{"b":[1]}],"c":[1]}}"#, r#"{"d":[{"a":1},{"c":1}]}"#, false),
        (r#"{"d":{"$or":[{"a":[1]},{"b":[1]}],"c":[1]}}"#, r#"{"d":[{"a":1},{"b":1,"c":1}]}"#, true),
        (r#"{"$or":[{"d":{"a":[1]}},{"e":[1]}],"d":{"c":[1]}}"#, r#"{"d":[{"a":1},{"c":1}]}"#, false),
        (r#"{"$or":[{"d":{"a":[1]}},{"e":[1]}],"d":{"c":[1]}}"#, r#"{"d":[{"a":1},{"c":1}],"e":1}"#, true),
    ] {
        assert_eq!(object_matches(pattern, object), expected, "{pattern} {object}");
    }
}

#[test]
fn changed() {
    for (pattern, object, previous, expected) in [
        (r#"{"name":[{"changed":true}]}"#, r#"{"name":"New"}"#, r#"{"name":"Old"}"#, true),
        (r#"{"name":[{"changed":true}]}"#, r#"{"name":"Old"}"#, r#"{"name":"Old"}"#, false),
        (r#"{"name":[{"changed":true}]}"#, r#"{"name":"New"}"#, r#"{"other":"Old"}"#, false),
        (r#"{"name":[{"changed":true}]}"#, r#"{"name":"New"}"#, "null", false),
        (r#"{"name":[{"changed":true}]}"#, r#"{"name":"New"}"#, r#"{"name":null}"#, true),
        (r#"{"name":[{"changed":true}]}"#, "{}", r#"{"name":"Old"}"#, true),
        (r#"{"n":[{"changed":true}]}"#, r#"{"n":1.0}"#, r#"{"n":1}"#, false),
        (r#"{"n":[{"changed":true}]}"#, r#"{"n":"1"}"#, r#"{"n":1}"#, true),
        (r#"{"a":{"b":[{"changed":true}]}}"#, r#"{"a":{"b":1,"c":1}}"#, r#"{"a":{"b":2}}"#, true),
        (r#"{"a":{"b":[{"changed":true}]}}"#, r#"{"a":{"b":1,"c":1}}"#, r#"{"a":{"c":2}}"#, false),
        (r#"{"a":[{"changed":true}]}"#, r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":2,"b":1.0}}"#, false),
        (r#"{"a":[{"changed":true}]}"#, r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1}}"#, true),
        (r#"{"t":[{"changed":true}]}"#, r#"{"t":["x","y"]}"#, r#"{"t":["y","x"]}"#, true),
        (r#"{"t":[{"changed":true}]}"#, r#"{"t":["x","y"]}"#, r#"{"t":["x","y"]}"#, false),
        (r#"{"i":{"p":[{"changed":true}]}}"#, r#"{"i":[{"p":1},{"p":2}]}"#, r#"{"i":[{"p":1},{"p":3}]}"#, true),
        (r#"{"i":{"p":[{"changed":true}]}}"#, r#"{"i":[{"p":1,"q":1}]}"#, r#"{"i":[{"p":1,"q":2}]}"#, false),
        (r#"{"n":[{"changed":true}],"s":["on"]}"#, r#"{"n":1,"s":"on"}"#, r#"{"n":2}"#, true),
        (r#"{"n":[{"changed":true}],"s":["on"]}"#, r#"{"n":1,"s":"off"}"#, r#"{"n":2}"#, false),
        (r#"{"n":[5,{"changed":true}]}"#, r#"{"n":5}"#, "null", true),
        (r#"{"n":[5,{"changed":true}]}"#, r#"{"n":6}"#, r#"{"n":6}"#, false),
        // It chooses no element of an array.
        (r#"{"i":{"p":[{"changed":true}],"q":[1]}}"#, r#"{"i":[{"p":1},{"q":1}]}"#, r#"{"i":[{"p":2}]}"#, true),
    ] {
        let payload = format!(r#"{{"type":"a.b","data":{{"object":{object}}},"previous_data":{previous}}}"#);
        let pattern = format!(r#"{{"data":{{"object":{pattern}}}}}"#);
        assert_eq!(matches(&pattern, &payload), expected, "{pattern} {payload}");
    }
}

#[test]
fn names_with_dots_and_names_given_twice() {
    assert!(object_matches(r#"{"a.b":["x"]}"#, r#"{"a.b":"x"}"#));
    assert!(!object_matches(r#"{"a.b":["x"]}"#, r#"{"a":{"b":"x"}}"#));
    assert!(!object_matches(r#"{"a":{"b":["x"]}}"#, r#"{"a.b":"x"}"#));
    assert!(object_matches(r#"{"a.b":["x"],"a":{"b":["y"]}}"#, r#"{"a.b":"x","a":{"b":"y"}}"#));
    assert!(object_matches(r#"{"a":[2]}"#, r#"{"a":1,"a":2}"#), "the last value counts");
    assert!(!object_matches(r#"{"a":[1]}"#, r#"{"a":1,"a":2}"#));
    assert!(object_matches(r#"{"":[1]}"#, r#"{"":1}"#));
    assert!(object_matches(r#"{"a/b~":[1]}"#, r#"{"a/b~":1}"#));
}

/// Checks the pointers of the faults of patterns of `data.object`.
#[track_caller]
fn check_faults(cases: &[(&str, &[&str])]) {
    for (pattern, expected) in cases {
        let faults = read(&format!(r#"{{"data":{{"object":{pattern}}}}}"#)).expect_err(pattern);
        let pointers: Vec<_> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
        let expected: Vec<_> = expected.iter().map(|pointer| format!("/data/object{pointer}")).collect();
        assert_eq!(pointers, expected, "{pattern}");
        let is_phrase = |detail: &str| ["must ", "is ", "has ", "cannot "].iter().any(|verb| detail.starts_with(verb));
        assert!(faults.iter().all(|(_, detail)| is_phrase(detail)), "{faults:?}");
    }
}

#[test]
fn faults_of_fields() {
    check_faults(&[
        ("{}", &[""]),
        (r#"{"a":{}}"#, &["/a"]),
        (r#"{"a":[]}"#, &["/a"]),
        (r#"{"a":1}"#, &["/a"]),
        (r#"{"a":"x","b":null}"#, &["/a", "/b"]),
        (r#"{"a":[["x"]]}"#, &["/a/0"]),
        (r#"{"a":["x",{}]}"#, &["/a/1"]),
        (r#"{"a":[1],"a":[2]}"#, &["/a"]),
        (r#"{"a":[{"prefix":"x","suffix":"y"}]}"#, &["/a/0"]),
        (r#"{"a":[{"foo":1}],"b/c":[{"bar":1}]}"#, &["/a/0/foo", "/b~1c/0/bar"]),
    ]);
}

#[test]
fn faults_of_operators_on_texts() {
    check_faults(&[
        (r#"{"a":[{"prefix":3}]}"#, &["/a/0/prefix"]),
        (r#"{"a":[{"prefix":["x"]}]}"#, &["/a/0/prefix"]),
        (r#"{"a":[{"prefix":{"wildcard":"x"}}]}"#, &["/a/0/prefix"]),
        (r#"{"a":[{"suffix":{"equals-ignore-case":5}}]}"#, &["/a/0/suffix/equals-ignore-case"]),
        (r#"{"a":[{"suffix":{"equals-ignore-case":"x","y":"z"}}]}"#, &["/a/0/suffix"]),
        (r#"{"a":[{"equals-ignore-case":["x"]}]}"#, &["/a/0/equals-ignore-case"]),
        (r#"{"a":[{"wildcard":5}]}"#, &["/a/0/wildcard"]),
        (r#"{"a":[{"wildcard":"a**b"}]}"#, &["/a/0/wildcard"]),
        (r#"{"a":[{"wildcard":"a\\b"}]}"#, &["/a/0/wildcard"]),
        (r#"{"a":[{"wildcard":"*a*b*c*"}]}"#, &["/a/0/wildcard"]),
        (r#"{"a":[{"anything-but":[]}]}"#, &["/a/0/anything-but"]),
        (r#"{"a":[{"anything-but":null}]}"#, &["/a/0/anything-but"]),
        (r#"{"a":[{"anything-but":["x",1]}]}"#, &["/a/0/anything-but"]),
        (r#"{"a":[{"anything-but":["x",true,null]}]}"#, &["/a/0/anything-but/1", "/a/0/anything-but/2"]),
        (r#"{"a":[{"anything-but":{"prefix":""}}]}"#, &["/a/0/anything-but/prefix"]),
        (r#"{"a":[{"anything-but":{"suffix":["x",""]}}]}"#, &["/a/0/anything-but/suffix/1"]),
        (r#"{"a":[{"anything-but":{"wildcard":["x","a**b"]}}]}"#, &["/a/0/anything-but/wildcard/1"]),
        (
            r#"{"a":[{"anything-but":{"equals-ignore-case":[1,2]}}]}"#,
            &["/a/0/anything-but/equals-ignore-case/0", "/a/0/anything-but/equals-ignore-case/1"],
        ),
        (r#"{"a":[{"anything-but":{"numeric":["=",1]}}]}"#, &["/a/0/anything-but/numeric"]),
        (r#"{"a":[{"anything-but":{"prefix":"x","suffix":"y"}}]}"#, &["/a/0/anything-but"]),
    ]);
}

#[test]
fn faults_of_other_operators() {
    check_faults(&[
        (r#"{"a":[{"numeric":5}]}"#, &["/a/0/numeric"]),
        (r#"{"a":[{"numeric":["<"]}]}"#, &["/a/0/numeric"]),
        (r#"{"a":[{"numeric":["<","5"]}]}"#, &["/a/0/numeric/1"]),
        (r#"{"a":[{"numeric":["<",12345678901234567890123]}]}"#, &["/a/0/numeric/1"]),
        (r#"{"a":[{"numeric":["!=",5]}]}"#, &["/a/0/numeric"]),
        (r#"{"a":[{"numeric":["<",5,">",0]}]}"#, &["/a/0/numeric"]),
        (r#"{"a":[{"numeric":[">",5,"<",5]}]}"#, &["/a/0/numeric"]),
        (r#"{"a":[{"numeric":[">",5,"=",6]}]}"#, &["/a/0/numeric"]),
        (r#"{"a":[{"numeric":[">",0,"<",true]}]}"#, &["/a/0/numeric/3"]),
        (r#"{"a":[{"cidr":"10.0.0.0"}]}"#, &["/a/0/cidr"]),
        (r#"{"a":[{"cidr":"10.0.0.0/33"}]}"#, &["/a/0/cidr"]),
        (r#"{"a":[{"cidr":"10.0.0.0/32"}]}"#, &["/a/0/cidr"]),
        (r#"{"a":[{"cidr":"snorkle/3"}]}"#, &["/a/0/cidr"]),
        (r#"{"a":[{"exists":"yes"}]}"#, &["/a/0/exists"]),
        (r#"{"a":[{"changed":false}]}"#, &["/a/0/changed"]),
    ]);
}

#[test]
fn faults_of_or() {
    check_faults(&[
        (r#"{"$or":[{"a":[1]}]}"#, &["/$or"]),
        (r#"{"$or":{"a":[1]}}"#, &["/$or"]),
        (r#"{"$or":[{"a":[1]},[{"b":[1]}]]}"#, &["/$or/1"]),
        (r#"{"$or":[{"a":[1]},{}]}"#, &["/$or/1"]),
        (r#"{"$or":[{"prefix":["x"]},{"numeric":[1]}]}"#, &["/$or/0/prefix", "/$or/1/numeric"]),
        (r#"{"a":[1],"$or":[{"a":[1]},{"b":[1]}]}"#, &["/$or/0/a"]),
        (r#"{"$or":[{"b":[1]},{"a":[1]}],"a":[1]}"#, &["/$or/1/a"]),
        (r#"{"a":{"b":[1]},"$or":[{"a":[1]},{"b":[1]}]}"#, &["/$or/0/a"]),
        (r#"{"a":{"$or":[{"b":[1]},{"c":[1]}]},"$or":[{"a":{"b":[1]}},{"d":[1]}]}"#, &["/$or/0/a/b"]),
        (r#"{"$or":[{"a":[1],"$or":[{"a":[2]},{"c":[1]}]},{"d":[1]}]}"#, &["/$or/0/$or/0/a"]),
    ]);
}

#[test]
fn a_filter_names_fields_of_the_payload() {
    for (pattern, expected) in [
        ("[]", &[""][..]),
        (r#"{"id":["x"],"created_at":["x"],"typ":["x"]}"#, &["/id", "/created_at", "/typ"]),
        (r#"{"data":{"name":["x"]}}"#, &["/data/name"]),
        (r#"{"type":["x"],"$or":[{"account":["x"]},{"data":{"x":["y"]}}]}"#, &["/$or/0/account", "/$or/1/data/x"]),
        (
            r#"{"type":[{"changed":true}],"previous_data":{"a":[{"changed":true}]},"data":{"object":[{"changed":true}]}}"#,
            &["/type/0/changed", "/previous_data/a/0/changed", "/data/object/0/changed"],
        ),
    ] {
        let faults = read(pattern).expect_err(pattern);
        assert_eq!(faults.iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(), expected, "{pattern}");
    }
}

#[test]
fn limits() {
    let fields = |count: usize| (0..count).map(|index| format!(r#""f{index}":[1]"#)).collect::<Vec<_>>().join(",");
    let pattern = |fields: String| format!(r#"{{"data":{{"object":{{{fields}}}}}}}"#);
    assert!(read(&pattern(fields(LEAVES_MAX))).is_ok());
    assert_eq!(read(&pattern(fields(LEAVES_MAX + 1))).expect_err("too many leaves")[0].0, "");
    let long = |bytes: usize| {
        let frame = pattern(r#""a":[""]"#.to_owned());
        frame.replace(r#"[""]"#, &format!(r#"["{}"]"#, "x".repeat(bytes - frame.len())))
    };
    assert!(read(&long(FILTER_BYTES_MAX)).is_ok());
    assert_eq!(read(&long(FILTER_BYTES_MAX + 1)).expect_err("too long").len(), 1);
    let ors = |count: usize| {
        let or = |index: usize| format!(r#""d{index}":{{"$or":[{{"a":[1]}},{{"b":[1]}}]}}"#);
        pattern((0..count).map(or).collect::<Vec<_>>().join(","))
    };
    assert!(read(&ors(7)).is_ok());
    assert_eq!(read(&ors(8)).expect_err("too many combinations")[0].0, "");
    assert_eq!(read(&ors(25)).expect_err("far too many combinations")[0].0, "");
}

/// The names of all fields that are drawn.
const NAMES: &[&str] = &["a", "b", "c"];

/// A source of reproducible choices (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    /// A value, as JSON. Few names and values, so that patterns meet them.
    fn value(&mut self, depth: usize) -> String {
        const SCALARS: &[&str] = &[
            "1",
            "1.0",
            "2",
            "true",
            "null",
            r#""x""#,
            r#""xy""#,
            r#""XY""#,
            r#""yx""#,
            r#""""#,
            r#""x*y""#,
            r#""10.0.0.1""#,
            r#""10.0.0.77""#,
        ];
        match self.roll(if depth == 0 { 2 } else { 5 }) {
            0 | 1 => self.pick(SCALARS).to_owned(),
            2 => {
                let elements: Vec<_> = (0..self.roll(4)).map(|_| self.value(depth - 1)).collect();
                format!("[{}]", elements.join(","))
            }
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let mut fields = vec![];
        for name in NAMES {
            if self.roll(3) > 0 {
                fields.push(format!(r#""{name}":{}"#, self.value(depth)));
            }
        }
        format!("{{{}}}", fields.join(","))
    }

    fn payload(&mut self) -> String {
        let object = self.object(3);
        let previous = match self.roll(3) {
            0 => "null".to_owned(),
            1 => object.replacen('1', "2", 1 + self.roll(2)),
            _ => self.object(3),
        };
        format!(r#"{{"type":"a.b","data":{{"object":{object}}},"previous_data":{previous}}}"#)
    }

    fn entry(&mut self) -> &'static str {
        const ENTRIES: &[&str] = &[
            "1",
            "2.0",
            "true",
            "null",
            r#""x""#,
            r#""xy""#,
            r#""10.0.0.1""#,
            r#"{"prefix":"x"}"#,
            r#"{"suffix":"y"}"#,
            r#"{"prefix":{"equals-ignore-case":"X"}}"#,
            r#"{"suffix":{"equals-ignore-case":"Y"}}"#,
            r#"{"equals-ignore-case":"xY"}"#,
            r#"{"wildcard":"*x*"}"#,
            r#"{"wildcard":"x\\*y"}"#,
            r#"{"anything-but":"x"}"#,
            r#"{"anything-but":[1,2]}"#,
            r#"{"anything-but":{"prefix":["x","1"]}}"#,
            r#"{"anything-but":{"suffix":"x"}}"#,
            r#"{"anything-but":{"equals-ignore-case":["XY","X"]}}"#,
            r#"{"anything-but":{"wildcard":["*y","x*"]}}"#,
            r#"{"numeric":["=",1]}"#,
            r#"{"numeric":[">=",1,"<",2]}"#,
            r#"{"numeric":[">",1]}"#,
            r#"{"cidr":"10.0.0.0/26"}"#,
            r#"{"exists":true}"#,
            r#"{"exists":false}"#,
            r#"{"exists":false}"#,
            r#"{"exists":true}"#,
            r#"{"changed":true}"#,
        ];
        self.pick(ENTRIES)
    }

    /// The fields of a pattern object: some of `names`. Those inside `$or` are not beside it.
    fn fields(&mut self, depth: usize, names: &[&str]) -> String {
        let has_or = names.len() > 1 && self.roll(3) == 0;
        let (beside, inside) = names.split_at(if has_or { self.roll(names.len() - 1) } else { names.len() });
        let mut fields = vec![];
        for (index, name) in beside.iter().enumerate() {
            if index > 0 && self.roll(4) > 0 {
                continue;
            }
            fields.push(if depth > 0 && self.roll(3) == 0 {
                format!(r#""{name}":{{{}}}"#, self.fields(depth - 1, NAMES))
            } else {
                let entries: Vec<_> = (0..=self.roll(6)).map(|_| self.entry()).collect();
                format!(r#""{name}":[{}]"#, entries.join(","))
            });
        }
        if has_or {
            let branches: Vec<_> = (0..2 + self.roll(2))
                .map(|_| format!("{{{}}}", self.fields(depth.saturating_sub(1), inside)))
                .collect();
            fields.push(format!(r#""$or":[{}]"#, branches.join(",")));
        }
        fields.join(",")
    }

    fn pattern(&mut self) -> String {
        let names = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]][self.roll(3)];
        format!(r#"{{"data":{{"object":{{{}}}}}}}"#, self.fields(2, &names))
    }
}

/// The matcher agrees with the naive one on 100,000 pairs of a pattern and a payload.
#[test]
fn the_matcher_agrees_with_the_naive_one() {
    const CASES: usize = 100_000;
    /// The payloads that each pattern is tried on, of the pool of all payloads.
    const TRIED: usize = 20;
    let mut dice = Dice(12);
    let texts: Vec<_> = (0..1000).map(|_| dice.payload()).collect();
    let values: Vec<serde_json::Value> = texts.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    let pool = texts.iter().zip(&values).map(|(text, value)| {
        let document = Document::parse(text.as_bytes()).expect("JSON");
        (text, naive::Payload::new(value), document)
    });
    let pool: Vec<_> = pool.collect();
    let (mut cases, mut matched, mut with_or) = (0, 0, 0);
    while cases < CASES {
        let pattern = dice.pattern();
        let Ok(compiled) = read(&pattern) else {
            assert!(pattern.contains("$or"), "only a conflict with $or is refused: {pattern}");
            continue;
        };
        let json = serde_json::from_str(&pattern).expect("JSON");
        let rule = naive::Rule::new(&json);
        with_or += usize::from(pattern.contains("$or"));
        for _ in 0..TRIED {
            let (payload, flat, document) = &pool[dice.roll(pool.len())];
            let found = compiled.matches(document);
            assert_eq!(found, rule.matches(flat), "{pattern}\n{payload}");
            let explanation = compiled.explain(document);
            assert_eq!(explanation.is_none(), found, "{pattern}\n{payload}");
            if let Some(explanation) = &explanation {
                check_explanation(explanation, &json, flat);
            }
            matched += usize::from(found);
            cases += 1;
        }
    }
    let share = matched * 100 / cases;
    assert!((20..80).contains(&share), "{share} % match, which says little");
    assert!(with_or > 500, "{with_or} patterns have $or");
}

/// Checks that the conditions of an explanation are in the pattern, and that each one does not hold by itself, unless it says that
/// it holds in another element of an array, or might do.
fn check_explanation(explanation: &Explanation, pattern: &serde_json::Value, flat: &naive::Payload) {
    for Mismatch { path, pointer, expected, detail, .. } in
        std::iter::once(&explanation.mismatch).chain(&explanation.alternatives)
    {
        let expected: serde_json::Value = serde_json::from_str(expected.get()).expect("JSON");
        assert_eq!(pattern.pointer(&pointer[1..]), Some(&expected), "{pattern}");
        let alone = path.rsplit('.').fold(expected, |below, name| serde_json::json!({ name: below }));
        let holds = naive::Rule::new(&alone).matches(flat);
        assert_eq!(holds, detail.contains("same element"), "{pattern} {pointer}");
    }
}

/// The size of the hostile payloads. The number of steps grows with it in proportion, and a test run is not optimized.
const PAYLOAD_BYTES: usize = crate::event::REQUEST_BYTES_MAX / 8;
/// The most steps of one match for each byte of the payload.
const STEPS_MAX: u64 = 100;

/// Matches the worst patterns against the worst payloads.
#[test]
fn hostile_patterns_and_payloads_take_a_bounded_number_of_steps() {
    let fill = |open: &str, part: &str, close: &str| {
        let parts = (PAYLOAD_BYTES - open.len() - close.len()) / part.len();
        format!("{open}{}{close}", part.repeat(parts).trim_end_matches(','))
    };
    let list = |part: &str, close: &str| {
        format!(r#"{{"data":{{"object":{{"a":[{}]{close}}}}}}}"#, part.repeat(3900 / part.len()).trim_end_matches(','))
    };
    let many = |part: &dyn Fn(usize) -> String| (0..50).map(part).collect::<Vec<_>>().join(",");
    let patterns = [
        list(r#"{"wildcard":"*a*a*b"},"#, ""),
        list(r#"{"anything-but":{"wildcard":["*a*a*","*a"]}},"#, ""),
        format!(r#"{{"data":{{"object":{{"a":[{{"wildcard":"*{}*b"}}]}}}}}}"#, "a".repeat(3900)),
        list(r#"{"anything-but":{"prefix":["a","b"]}},"#, ""),
        list(r#"{"numeric":[">",2,"<",3]},"#, ""),
        format!(
            r#"{{"data":{{"object":{{"a":{{{}}}}}}}}}"#,
            many(&|index| format!(r#""{index}":[{{"exists":false}},1]"#))
        ),
        format!(
            r#"{{"data":{{"object":{{"a":{{{}}}}}}}}}"#,
            many(&|index| format!(r#""{}":[{{"changed":true}}]"#, index % 10)).replacen("\"0\"", "\"x\"", 0)
        ),
        format!(
            r#"{{"data":{{"object":{{{}}}}}}}"#,
            (0..7)
                .map(|index| format!(r#""{index}":{{"$or":[{{"a":{{"a":[1]}}}},{{"b":[{{"exists":false}}]}}]}}"#))
                .collect::<Vec<_>>()
                .join(",")
        ),
    ];
    let payloads = [
        fill(r#"{"type":"t","data":{"object":{"a":""#, "a", r#""}},"previous_data":null}"#),
        fill(r#"{"type":"t","data":{"object":{"a":["#, r#""a","#, r#"]}},"previous_data":null}"#),
        fill(r#"{"type":"t","data":{"object":{"a":["#, "1,", r#"]}},"previous_data":null}"#),
        fill(r#"{"type":"t","data":{"object":{"a":["#, "{},", r#"]}},"previous_data":null}"#),
        fill(r#"{"type":"t","data":{"object":{"a":["#, r#"{"1":1},"#, r#"]}},"previous_data":null}"#),
        fill(r#"{"type":"t","data":{"object":{"a":["#, r#"{"a":[{"a":1},{"b":1}]},"#, r#"]}},"previous_data":null}"#),
        fill(
            &format!(r#"{{"type":"t","data":{{"object":{{"a":{}"#, "[".repeat(60)),
            "[],",
            &format!(r#"{}}}}},"previous_data":null}}"#, "]".repeat(60)),
        ),
    ];
    let mut most = 0;
    for pattern in patterns.iter().filter_map(|pattern| read(pattern).ok()) {
        for payload in &payloads {
            let document = Document::parse(payload.as_bytes()).expect("JSON");
            most = most.max(pattern.steps(&document));
        }
    }
    let most = most / PAYLOAD_BYTES as u64;
    assert!((10..STEPS_MAX).contains(&most), "{most} steps for each byte");
}
