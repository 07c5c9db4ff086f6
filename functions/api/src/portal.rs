//! `/portal…`: the portal, a web page. Its files are built from `infra/portal` and are part of the program. The page calls the API like
//! any other client; nothing here knows what it shows.

use crate::{problem::Problem, state::ApiState};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::{allowed_origins::AllowedOrigins, brand::Brand};
use std::sync::Arc;

/// A file of the portal, as it is and compressed with Brotli.
struct File {
    name: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    brotli: &'static [u8],
}

/// The files. The name of each asset has a digest of its content, so that a browser may keep it for ever.
const FILES: &[File] = include!("../../../infra/portal/dist/files.rs");

/// The page itself.
const PAGE: &str = "index.html";

/// What every file forbids: scripts and styles of the page's own text, other hosts, plug-ins, and forms that leave the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'";

/// Creates the routes of the portal.
pub(crate) fn routes() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/portal", get(page))
        .route("/portal/brand.json", get(brand))
        .route("/portal/assets/{name}", get(asset))
}

/// Answers with the page.
async fn page(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut response = file(PAGE, &headers)?;
    let policy = format!("{POLICY}; frame-ancestors {}", ancestors(&state.app.frame_ancestors));
    let policy = HeaderValue::from_str(&policy).map_err(|error| Problem::internal(&error))?;
    let set = response.headers_mut();
    set.insert(header::CONTENT_SECURITY_POLICY, policy);
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    set.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// Answers with how the portal presents itself.
async fn brand(State(state): State<Arc<ApiState>>) -> ([(HeaderName, &'static str); 1], Json<Brand>) {
    ([(header::CACHE_CONTROL, "max-age=300")], Json(state.app.brand.clone()))
}

/// Answers with an asset, which never changes.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut response = file(&format!("assets/{name}"), &headers)?;
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    Ok(response)
}

/// Answers with a file, compressed if the browser takes that.
fn file(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(Problem::no_route)?;
    let takes_brotli = takes_brotli(headers);
    let mut response = (if takes_brotli { file.brotli } else { file.plain }).into_response();
    let set = response.headers_mut();
    if takes_brotli {
        set.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    set.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    set.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    set.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// Whether `Accept-Encoding` names Brotli, and not with a weight of zero.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(1.0_f32);
        name.trim().eq_ignore_ascii_case("br") && weight > 0.0
    })
}

/// Returns the sources of `frame-ancestors`.
fn ancestors(allowed: &AllowedOrigins) -> String {
    match allowed {
        AllowedOrigins::Any => "*".to_owned(),
        AllowedOrigins::Listed(origins) if origins.is_empty() => "'none'".to_owned(),
        AllowedOrigins::Listed(origins) => origins.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most bytes of all files together, compressed. They are read on a phone, over a slow network.
    const BYTES_MAX: usize = 100 * 1024;

    #[test]
    fn the_files_are_small() {
        let bytes: usize = FILES.iter().map(|file| file.brotli.len()).sum();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn brotli_is_sent_to_those_who_take_it() {
        let takes = |value: &str| {
            let value = HeaderValue::from_str(value).expect("a value");
            takes_brotli(&[(header::ACCEPT_ENCODING, value)].into_iter().collect())
        };
        assert!(takes("gzip, deflate, br, zstd") && takes("BR;q=0.5"));
        assert!(!takes("gzip") && !takes("br;q=0") && !takes("") && !takes("brx"));
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn a_frame_needs_to_be_allowed() {
        assert_eq!(ancestors(&AllowedOrigins::NONE), "'none'");
        let two = "https://a.example, https://b.example".parse().expect("origins");
        assert_eq!(ancestors(&two), "https://a.example https://b.example");
    }
}
