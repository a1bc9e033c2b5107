//! An order that the backend has in full and acts on, while its session ends or changes.

use crate::helpers::{ByHand, Gateway, Probe};

pub(super) struct Order {
    client: Probe,
    backend: Probe,
}

impl Order {
    pub(super) async fn begin(gateway: &Gateway, backend: &ByHand, token: &str) -> Self {
        let rest = "Content-Length: 2\r\n\r\nhi";
        let client = gateway.asking("POST /order", token, rest).await;
        let (mut backend, _) = backend.request().await;
        assert_eq!(backend.take(2).await, b"hi");
        Self { client, backend }
    }

    /// The client gets the answer: a refusal in its place would have it order twice.
    pub(super) async fn gets_its_answer(mut self) {
        self.backend
            .send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")
            .await;
        let answer = self.client.answer("POST").await;
        assert_eq!((answer.status(), answer.text().as_str()), (201, "ok"));
    }
}
