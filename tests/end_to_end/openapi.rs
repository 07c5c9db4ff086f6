//! The API's own description is open, and the one that is kept in the repository.

use crate::process::Stack;

const KEPT: &str = include_str!("../../infra/openapi.json");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kept_document_is_served_to_anybody() {
    let stack = Stack::start().await;
    for token in [None, Some("unknown"), Some(stack.token())] {
        let reply = stack.api().with_token(token).get("/v1/openapi.json").await;
        assert_eq!(reply.expect(200)["openapi"], "3.1.0");
        assert!(reply.text == KEPT, "another document than infra/openapi.json");
    }
}
