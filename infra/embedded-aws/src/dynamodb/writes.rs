//! The fast path of `PutItem`, `UpdateItem` and `DeleteItem`. Each writes with one statement.

use super::{
    FastPath, Mine,
    answers::{Answer, refused},
    expressions::{Condition, Expression, Scope},
    items::{Attributes, append, size_of},
    requests::{DeleteItem, KeyAttributes, PutItem, Returned, UpdateItem},
    require,
    tables::Stored,
};
use crate::wire::Reply;
use dynoxide::{storage::Storage, types::table_write_capacity_units};
use std::borrow::Cow;

impl FastPath {
    /// Answers `PutItem`.
    pub(super) fn put(&mut self, storage: &Storage, request: &PutItem<'_>) -> Mine<Reply> {
        require(request.return_values != Returned::UpdatedNew)?;
        let table = self.tables.get(storage, request.table_name)?;
        let json = request.item.get();
        let item: Attributes<'_> = serde_json::from_str(json)?;
        let size = size_of(&item)?;
        let key = table.key_in(&item)?;
        let condition = self.expressions.conditions.get_if(request.condition_expression)?;
        let (names, values) = (&request.expression_attribute_names, &request.expression_attribute_values);
        let used = [condition.as_deref().map(|condition| &condition.placeholders)];
        let scope = Scope::new(names.as_ref(), values.as_ref(), &used)?;
        let returned = request.return_values_on_condition_check_failure;

        let stored = table.find(storage.conn(), &key)?;
        if let Some(reply) = refusal(condition.as_deref(), &scope, stored.as_ref(), returned)? {
            return Ok(reply);
        }
        table.write(storage.conn(), &key, stored.as_ref(), (json, size))?;
        let units = table_write_capacity_units(stored.as_ref().map(|stored| stored.size), Some(size));
        let answer = Answer::new().with("Attributes", old(stored.as_ref(), request.return_values));
        Ok(answer.with_consumed(request.return_consumed_capacity, &table.name, units).end())
    }

    /// Answers `UpdateItem`.
    pub(super) fn update(&mut self, storage: &Storage, request: &UpdateItem<'_>) -> Mine<Reply> {
        require(request.return_values != Returned::AllOld)?;
        let table = self.tables.get(storage, request.table_name)?;
        let key: KeyAttributes<'_> = serde_json::from_str(request.key.get())?;
        let key = table.key_of(&key)?;
        let condition = self.expressions.conditions.get_if(request.condition_expression)?;
        let update = self.expressions.updates.get(request.update_expression)?;
        let (names, values) = (&request.expression_attribute_names, &request.expression_attribute_values);
        let used = [Some(&update.placeholders), condition.as_deref().map(|condition| &condition.placeholders)];
        let scope = Scope::new(names.as_ref(), values.as_ref(), &used)?;
        update.tree.check(&scope)?;
        let returned = request.return_values_on_condition_check_failure;

        let stored = table.find(storage.conn(), &key)?;
        if let Some(reply) = refusal(condition.as_deref(), &scope, stored.as_ref(), returned)? {
            return Ok(reply);
        }
        let before = stored.as_ref().map_or(request.key.get(), |stored| &stored.json);
        let item: Attributes<'_> = serde_json::from_str(before)?;
        let new = update.tree.new_values(&scope, &item)?;
        require(new.iter().all(|(name, _)| *name != table.partition && *name != table.sort))?;
        let json = updated(&item, &new);
        let size = size_of(&serde_json::from_str(&json)?)?;
        table.write(storage.conn(), &key, stored.as_ref(), (&json, size))?;

        let units = table_write_capacity_units(stored.as_ref().map(|stored| stored.size), Some(size));
        let mut answer = Answer::new();
        if request.return_values == Returned::UpdatedNew {
            append(answer.member("Attributes"), new.iter().map(|(name, value)| (*name, value.as_ref())));
        }
        Ok(answer.with_consumed(request.return_consumed_capacity, &table.name, units).end())
    }

    /// Answers `DeleteItem`.
    pub(super) fn delete(&mut self, storage: &Storage, request: &DeleteItem<'_>) -> Mine<Reply> {
        require(request.return_values != Returned::UpdatedNew)?;
        let table = self.tables.get(storage, request.table_name)?;
        let key = table.key_of(&request.key)?;
        let stored = table.find(storage.conn(), &key)?;
        if let Some(stored) = &stored {
            table.delete(storage.conn(), stored)?;
        }
        let units = table_write_capacity_units(stored.as_ref().map(|stored| stored.size), None);
        let answer = Answer::new().with("Attributes", old(stored.as_ref(), request.return_values));
        Ok(answer.with_consumed(request.return_consumed_capacity, &table.name, units).end())
    }
}

/// Returns the answer to a write whose condition does not hold for the stored item, or `None` if it does.
fn refusal(
    condition: Option<&Expression<Condition>>,
    scope: &Scope<'_>,
    stored: Option<&Stored>,
    returned: Returned,
) -> Mine<Option<Reply>> {
    require(returned != Returned::UpdatedNew)?;
    let Some(condition) = condition else { return Ok(None) };
    let item = stored.map(|stored| serde_json::from_str(&stored.json)).transpose()?.unwrap_or_default();
    let holds = condition.tree.holds(scope, &item)?;
    Ok((!holds).then(|| refused(old(stored, returned))))
}

/// Returns the stored item as JSON, if it is asked for.
fn old(stored: Option<&Stored>, returned: Returned) -> Option<&str> {
    stored.filter(|_| returned == Returned::AllOld).map(|stored| stored.json.as_str())
}

/// Returns an item with new values in place of its own, as JSON.
fn updated(item: &Attributes<'_>, new: &[(&str, Cow<'_, str>)]) -> String {
    let new = || new.iter().map(|(name, value)| (*name, value.as_ref()));
    let kept = item.0.iter().map(|(name, value)| (name.as_ref(), value.get()));
    let mut json = String::new();
    append(&mut json, kept.filter(|(name, _)| !new().any(|(set, _)| set == *name)).chain(new()));
    json
}
