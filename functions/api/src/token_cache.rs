//! A cache of the tokens that this process has found lately.

use application::App;
use domain::{
    portal,
    time::Timestamp,
    token::{self, Token},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{StoreError, tokens};

/// How long a token is valid without asking the table again. A revoked token stops working within this time.
const CACHED: Duration = Duration::from_secs(30);
/// The most tokens in the cache. A full cache is cleared.
const CACHE_MAX: usize = 10_000;

/// The tokens found lately, each with the end of its time in the cache, by the SHA-256 of their text. A token that was not
/// found is not cached, so a new token works at once.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<HashMap<String, (Arc<Token>, Timestamp)>>);

impl TokenCache {
    /// Finds a token by its text, in the cache or in the table. Returns `None` if there is no such token.
    pub(crate) async fn find(&self, app: &App, token: &str) -> Result<Option<Arc<Token>>, StoreError> {
        let (hash, now) = (token::hash(token), app.clock.now());
        if let Some((token, until)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&hash)
            && now < *until
        {
            return Ok(Some(token.clone()));
        }
        let is_session = portal::is_session_token(token);
        let found = if is_session {
            tokens::find_session(&app.store, &hash).await?
        } else {
            tokens::find(&app.store, &hash).await?
        };
        let works = |token: &Token| token.session.map_or(!is_session, |session| now < session.until);
        let found = found.filter(works).map(Arc::new);
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            // A session that was ended is over at once. Few requests are those of a session.
            Some(token) if token.session.is_some() => {}
            Some(token) => {
                if cache.len() >= CACHE_MAX {
                    cache.clear();
                }
                cache.insert(hash, (token.clone(), now.plus(CACHED)));
            }
            None => {
                cache.remove(&hash);
            }
        }
        Ok(found)
    }
}
