//! The filters that users draw. Each can be judged without Hookline's own matcher.

use serde_json::{Value, json};

use crate::dice::Dice;

/// The field of an event's object that filters judge.
pub(crate) const SHADE: &str = "shade";
/// The values of that field.
pub(crate) const SHADES: &[&str] = &["light", "dark"];

/// Draws a filter: events of one shade, written in one of two ways.
pub(crate) fn draw(dice: &Dice) -> Value {
    let shade = *dice.pick(SHADES);
    let value = if dice.permille(500) { json!(shade) } else { json!({"anything-but": shade}) };
    json!({"data": {"object": {SHADE: [value]}}})
}

/// Whether an event whose payload is `payload` passes a drawn filter.
pub(crate) fn passes(filter: &str, payload: &Value) -> bool {
    let filter: Value = serde_json::from_str(filter).expect("a drawn filter");
    let value = &filter["data"]["object"][SHADE][0];
    let shade = &payload["data"]["object"][SHADE];
    if value.is_string() { shade == value } else { !shade.is_null() && *shade != value["anything-but"] }
}
