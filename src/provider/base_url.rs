//! Where a platform's API lives.

use std::fmt;

use reqwest::Url;

/// Such as `https://api.example.com`; a path may follow the host.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no base URL. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBaseUrl {
    #[error("it is not a URL such as https://api.example.com")]
    NotAUrl,
    #[error("it must begin with https:// (or http:// for a sandbox)")]
    Scheme,
    #[error("it must end after the host or a path: no query, no fragment, no user name")]
    Extra,
}

impl BaseUrl {
    pub fn parse(text: &str) -> Result<Self, BadBaseUrl> {
        let url = Url::parse(text).map_err(|_| BadBaseUrl::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadBaseUrl::Scheme);
        }
        if url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(BadBaseUrl::Extra);
        }
        Ok(Self(url))
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    pub(super) const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of an API below this base; every value of the query is encoded.
    pub(super) fn join<'a>(
        &self,
        path: &str,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(query);
        if url.query() == Some("") {
            url.set_query(None);
        }
        url
    }
}

impl BaseUrl {
    /// The URL of an API below this base, with a query as it is.
    pub(super) fn with_query(&self, path: &str, query: &str) -> Url {
        let mut url = self.join(path, []);
        url.set_query(Some(query));
        url
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_hold_no_more_than_a_base() {
        let host = |text| BaseUrl::parse(text).map(|base| base.host());
        assert_eq!(host("https://api.test"), Ok("api.test".to_owned()));
        assert_eq!(
            host("http://127.0.0.1:9000/wx/"),
            Ok("127.0.0.1:9000".to_owned())
        );
        assert_eq!(host("api.test"), Err(BadBaseUrl::NotAUrl));
        assert_eq!(host("ftp://api.test"), Err(BadBaseUrl::Scheme));
        for extra in ["https://h/?a=b", "https://h/#f", "https://u:p@h/"] {
            assert_eq!(host(extra), Err(BadBaseUrl::Extra), "{extra}");
        }
    }

    #[test]
    fn queries_are_encoded_and_paths_joined() {
        let base = BaseUrl::parse("http://h/wx/").unwrap();
        assert_eq!(
            base.join("/sns/x", [("js_code", "a&b=c d+é#")]).as_str(),
            "http://h/wx/sns/x?js_code=a%26b%3Dc+d%2B%C3%A9%23"
        );
        assert_eq!(base.join("/sns/x", []).as_str(), "http://h/wx/sns/x");
    }
}
