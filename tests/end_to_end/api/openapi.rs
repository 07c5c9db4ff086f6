//! The OpenAPI document that the API serves.

use crate::harness::stack::Stack;

const COMMITTED: &str = include_str!("../../../infra/openapi.json");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committed_document_is_served_without_authentication() {
    let stack = Stack::start().await;
    for token in [None, Some("unknown"), Some(stack.token())] {
        let reply = stack.api().with_token(token).get("/v1/openapi.json").await;
        assert_eq!(reply.expect(200)["openapi"], "3.1.0");
        assert!(reply.text == COMMITTED, "the document differs from infra/openapi.json");
    }
}
