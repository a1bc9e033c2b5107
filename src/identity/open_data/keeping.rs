//! What of a user's open data becomes a claim. The configuration names the fields, not the client,
//! and the platform must vouch for the values: a claim is what backends believe.

use serde_json::{Map, Value};

use super::{Asker, OpenDataFlow};
use crate::identity::app::App;
use crate::session::{ClaimValue, Claims, ClaimsChange, ClaimsPatch};

/// Longest value that is kept, in bytes: backends get it in a header.
const VALUE_MAX: usize = 512;

/// A field of open data, and the claim that keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptField {
    pub claim: String,
    pub field: String,
}

impl KeptField {
    /// Whether users choose the value: the platform signs what a user has typed. A phone number it
    /// has verified.
    pub fn is_chosen_by_users(&self) -> bool {
        !OF_PHONE
            .iter()
            .any(|of_phone| is_same_field(&self.field, of_phone))
    }
}

/// The fields that come from the platform itself, and are never taken from sealed data.
const OF_PHONE: [&str; 3] = ["phone_number", "pure_phone_number", "country_code"];

/// Where data comes from.
pub(super) enum Source<'a> {
    /// The platform's answer to a phone code.
    Phone,
    /// Data that the client has brought, and the fields of it that the platform has signed. CBC has
    /// no MAC, so the client can change what opens: it drops blocks and chooses the IV.
    Sealed {
        signed: Option<&'a Map<String, Value>>,
    },
}

impl Source<'_> {
    fn vouches_for(&self, name: &str, value: &Value) -> bool {
        match self {
            Self::Phone => true,
            Self::Sealed { signed } => {
                let is_of_phone = OF_PHONE.iter().any(|field| is_same_field(name, field));
                !is_of_phone && signed.is_some_and(|signed| signed.get(name) == Some(value))
            }
        }
    }
}

impl OpenDataFlow {
    /// Keeps the named fields in all sessions of the user. The client gets its data whatever comes of
    /// this: a phone number has been paid for. Answers whether there is nothing left to try again.
    pub(super) async fn keep(
        &self,
        asker: &Asker,
        app: &App,
        data: &Map<String, Value>,
        source: &Source<'_>,
    ) -> bool {
        let Found {
            changes,
            unfit,
            unsigned,
        } = found(&self.rules.keep, data, source, &asker.claims);
        for field in unsigned {
            log::debug!(app = &*app.name, request_id = asker.request_id.as_str(); "open data: {field} is not kept: the platform does not vouch for it");
            self.count(asker, "keep", "unsigned");
        }
        for field in unfit {
            log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "open data: {field} is not kept: it is no text, number, boolean or list of texts of at most {VALUE_MAX} bytes");
            self.count(asker, "keep", "unfit");
        }
        if changes.is_empty() {
            return true;
        }
        let named: Vec<String> = changes.iter().map(|(claim, _)| claim.clone()).collect();
        let changed = match ClaimsPatch::new(changes) {
            Ok(patch) => {
                let changed = self
                    .users
                    .change_claims(&asker.user, &patch, app.patch_life());
                changed.await
            }
            Err(error) => Ok(ClaimsChange::Unfit(error)),
        };
        let (outcome, why) = match changed {
            Ok(ClaimsChange::Done { .. }) => ("ok", None),
            Ok(ClaimsChange::Unfit(error)) => ("unfit", Some(error.to_string())),
            Ok(ClaimsChange::Unreadable(_, why)) => ("unreadable", Some(why.to_owned())),
            Ok(ClaimsChange::UnreadableState(state)) => ("unreadable", Some(state.to_string())),
            Ok(ClaimsChange::Busy) => (
                "busy",
                Some("others changed the user all the time".to_owned()),
            ),
            Err(error) => ("store_unavailable", Some(error.to_string())),
        };
        if outcome == "ok" {
            // The names alone: the log is no place for the values.
            let kept = named.join(", ");
            log::info!(app = &*app.name, request_id = asker.request_id.as_str(); "open data: kept as claims of the user: {kept}");
        } else if let Some(why) = why {
            log::warn!(app = &*app.name, request_id = asker.request_id.as_str(); "open data: nothing is kept: {why}");
        }
        self.count(asker, "keep", outcome);
        outcome == "ok"
    }
}

type Changes = Vec<(String, Option<ClaimValue<'static>>)>;

#[derive(Default)]
struct Found<'k> {
    /// What the claims lack of the named fields.
    changes: Changes,
    /// The fields that no claim can have.
    unfit: Vec<&'k str>,
    /// Those for which the platform does not vouch.
    unsigned: Vec<&'k str>,
}

fn found<'k>(
    keep: &'k [KeptField],
    data: &Map<String, Value>,
    source: &Source<'_>,
    claims: &Claims,
) -> Found<'k> {
    let mut found = Found::default();
    for KeptField { claim, field } in keep {
        let mut given = data.iter().filter(|(name, _)| is_same_field(name, field));
        let Some((name, value)) = given.next() else {
            continue;
        };
        match claim_value(value) {
            Some(value) if claims.get(claim).as_ref() == Some(&value) => {}
            _ if !source.vouches_for(name, value) => found.unsigned.push(field),
            Some(value) => found.changes.push((claim.clone(), Some(value))),
            None => found.unfit.push(field),
        }
    }
    found
}

/// The gateway's answers have `phone_number` where the platform's data has `phoneNumber`.
fn is_same_field(one: &str, other: &str) -> bool {
    let letters = |name: &str| {
        let letters = name.chars().filter(|c| *c != '_');
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    one == other || letters(one) == letters(other)
}

fn claim_value(value: &Value) -> Option<ClaimValue<'static>> {
    let (value, length) = match value {
        Value::String(text) => (ClaimValue::Text(text.clone().into()), text.len()),
        Value::Number(number) => (ClaimValue::Number(number.clone()), 0),
        Value::Bool(is) => (ClaimValue::Bool(*is), 0),
        Value::Array(texts) => {
            let texts: Option<Vec<&str>> = texts.iter().map(Value::as_str).collect();
            let texts = texts?;
            let length = texts.iter().map(|text| text.len() + 1).sum();
            let owned = texts.into_iter().map(|text| text.to_owned().into());
            (ClaimValue::List(owned.collect()), length)
        }
        Value::Null | Value::Object(_) => return None,
    };
    (length <= VALUE_MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keep(fields: &[(&str, &str)]) -> Vec<KeptField> {
        let kept = fields.iter().map(|(claim, field)| KeptField {
            claim: (*claim).to_owned(),
            field: (*field).to_owned(),
        });
        kept.collect()
    }

    #[test]
    fn only_named_fields_are_kept_and_each_in_its_type() {
        let data = json!({
            "nickName": "Alice", "gender": 1, "isOld": true, "tags": ["a", "b"], "stepInfoList": [{ "step": 1 }],
            "phoneNumber": "13800138000", "avatarUrl": "x".repeat(513), "nothing": null, "role": "admin",
        });
        let data = data.as_object().unwrap();
        let names = keep(&[
            ("nickname", "nickName"),
            ("gender", "gender"),
            ("old", "isOld"),
            ("tags", "tags"),
            ("phone", "phone_number"),
            ("steps", "stepInfoList"),
            ("avatar", "avatarUrl"),
            ("nothing", "nothing"),
            ("other", "notThere"),
        ]);
        let source = Source::Sealed { signed: Some(data) };
        let found = found(&names, data, &source, &Claims::default());
        let patch = ClaimsPatch::new(found.changes).unwrap();
        assert_eq!(
            serde_json::to_value(&patch).unwrap(),
            json!({ "nickname": "Alice", "gender": 1, "old": true, "tags": ["a", "b"] })
        );
        assert_eq!(found.unsigned, ["phone_number"]);
        assert_eq!(found.unfit, ["stepInfoList", "avatarUrl", "nothing"]);
    }

    #[test]
    fn what_the_session_has_already_is_no_change() {
        let claims = Claims::new([("phone", "1"), ("nickname", "Alice")]).unwrap();
        let data = json!({ "phone_number": "2", "nick_name": "Alice" });
        let names = keep(&[("phone", "phone_number"), ("nickname", "nickName")]);
        let data = data.as_object().unwrap();
        let found = found(&names, data, &Source::Phone, &claims);
        assert_eq!(found.changes.len(), 1);
        assert_eq!(found.changes[0].0, "phone");
    }

    #[test]
    fn of_sealed_data_only_the_signed_values_are_kept() {
        let data = json!({ "nickName": "Alice", "gender": 1, "city": "Guangzhou",
            "country_code": "86", "purePhoneNumber": "1", "Phone_Number": "1" });
        let names = keep(&[
            ("nickname", "nick_name"),
            ("gender", "gender"),
            ("city", "city"),
            ("code", "countryCode"),
            ("pure", "pure_phone_number"),
            ("phone", "phoneNumber"),
        ]);
        let data = data.as_object().unwrap();
        for (signed, kept) in [
            (None, &[][..]),
            (Some(json!({})), &[]),
            (
                Some(Value::Object(data.clone())),
                &["nickname", "gender", "city"],
            ),
            // Another value, of another type, under another name.
            (
                Some(json!({ "nickName": "Bob", "gender": "1", "City": "Guangzhou" })),
                &[],
            ),
        ] {
            let signed = signed.as_ref().and_then(Value::as_object);
            let found = found(&names, data, &Source::Sealed { signed }, &Claims::default());
            let claims: Vec<_> = found.changes.iter().map(|(claim, _)| &**claim).collect();
            assert_eq!(claims, kept);
            assert_eq!(found.unsigned.len(), names.len() - kept.len());
        }
    }
}
