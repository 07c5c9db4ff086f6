//! Checks that API Gateway has exactly the routes that the OpenAPI document describes, and those of the portal's files.

use serde_json::Value;
use std::collections::BTreeSet;
use strict_aws::template::{resources, template, text};

/// The portal's files, which are no part of the API.
const FILES: [&str; 3] = ["GET /portal", "GET /portal/assets/{name}", "GET /portal/brand.json"];

#[test]
fn the_routes_are_those_of_the_openapi_document() {
    let document: Value = serde_json::from_str(include_str!("../../infra/openapi.json")).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").iter();
    let described: BTreeSet<_> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .chain(FILES.map(str::to_owned))
        .collect();
    let template = template();
    let keys = resources(&template, "AWS::ApiGatewayV2::Route").map(|(_, route)| text(&route["RouteKey"]).to_owned());
    let (others, routed): (BTreeSet<_>, BTreeSet<_>) = keys.partition(|key| key == "$default");
    assert_eq!(routed, described);
    // The router answers every other path with a problem document.
    assert_eq!(others.len(), 1);
}
