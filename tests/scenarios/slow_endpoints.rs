//! Endpoints that hang together must not take the time of all others.

use std::time::Duration;

use crate::world::{Fate, World};

/// Endpoints that hang, as in an outage of a hosting provider.
const HANGING: usize = 10;
/// Events published, one every 20 ms.
const EVENTS: usize = 400;

#[tokio::test(start_paused = true)]
async fn a_healthy_endpoint_is_delivered_to_while_ten_others_hang() {
    let world = World::new(|_| Fate::Done, |host| (host == "healthy.example").then_some(200)).await;
    for number in 0..HANGING {
        world.register(&format!("hanging{number}")).await;
    }
    world.register("healthy").await;
    world.start(20, 2);
    for _ in 0..EVENTS {
        world.publish().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let published = world.elapsed();
    let arrived = world.wait_for("healthy", EVENTS, Duration::from_secs(600)).await;
    let late = arrived.saturating_sub(published);
    assert!(late < Duration::from_secs(6), "the last healthy delivery came {late:?} after the last publication");
}
