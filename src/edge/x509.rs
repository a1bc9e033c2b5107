//! What a certificate says of itself.

use std::net::IpAddr;

use x509_cert::Certificate;
use x509_cert::der::oid::db::rfc5280::ID_AD_CA_ISSUERS;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, SubjectAltName};

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The hosts that it is for, lower case; wildcards as they stand.
    pub names: Vec<String>,
    /// When it begins to hold, in Unix seconds.
    pub not_before: u64,
    /// Until when it holds, in Unix seconds.
    pub not_after: u64,
    /// Whose it is, as its bytes and to be read.
    pub subject: (Vec<u8>, String),
    /// The authority that has signed it.
    pub issuer: (Vec<u8>, String),
    /// Where that one's certificate is to be had.
    pub issuer_at: Option<String>,
}

impl Facts {
    /// Reads a certificate in DER. `None`: it violates RFC 5280.
    pub fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let said = certificate.tbs_certificate();
        let name =
            |name: &x509_cert::name::Name| name.to_der().map(|der| (der, name.to_string())).ok();
        let names = said
            .get_extension::<SubjectAltName>()
            .ok()
            .flatten()
            .map(|(_, names)| names.0)
            .unwrap_or_default();
        let access = said
            .get_extension::<AuthorityInfoAccessSyntax>()
            .ok()
            .flatten()
            .map(|(_, access)| access.0)
            .unwrap_or_default();
        let issuer_at = access
            .into_iter()
            .find_map(|one| match one.access_location {
                GeneralName::UniformResourceIdentifier(url)
                    if one.access_method == ID_AD_CA_ISSUERS =>
                {
                    Some(url.as_str().to_owned())
                }
                _ => None,
            });
        Some(Self {
            names: names.iter().filter_map(host).collect(),
            not_before: said.validity().not_before.to_unix_duration().as_secs(),
            not_after: said.validity().not_after.to_unix_duration().as_secs(),
            subject: name(said.subject())?,
            issuer: name(said.issuer())?,
            issuer_at,
        })
    }

    /// Whether it is signed by nobody else.
    pub fn is_self_signed(&self) -> bool {
        self.subject.0 == self.issuer.0
    }
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
