//! Where in a request the token may stand.

/// A place for the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenCarrier {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A header of this name (lower case).
    Header(String),
    /// A cookie of this name.
    Cookie(String),
    /// A query parameter of this name.
    Query(String),
}

/// Why a text names no carrier. The text goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// Not one of the forms.
    #[error("not a token carrier; write \"bearer\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"")]
    Form,
    /// A name with characters that cannot stand there.
    #[error("the name may have only letters, digits, \"-\" and \"_\"")]
    Name,
}

impl TokenCarrier {
    /// Reads a carrier as the configuration writes it.
    pub fn parse(text: &str) -> Result<Self, CarrierError> {
        if text == "bearer" {
            return Ok(Self::Bearer);
        }
        let (kind, name) = text.split_once(':').ok_or(CarrierError::Form)?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(CarrierError::Name);
        }
        match kind {
            "header" => Ok(Self::Header(name.to_ascii_lowercase())),
            "cookie" => Ok(Self::Cookie(name.to_owned())),
            "query" => Ok(Self::Query(name.to_owned())),
            _ => Err(CarrierError::Form),
        }
    }
}
