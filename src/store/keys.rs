//! The names of the keys. The braces are Redis Cluster's hash tag: all that belongs to one user
//! lies in one slot. The kind stands before the tag, so that ACLs and tracking can name a kind by
//! its beginning.

use std::sync::Arc;

use crate::crypto::encoding::{base64url, base64url_text, from_base64url};
use crate::crypto::keyring::NamingKey;
use crate::identity::{TicketKind, TokenName};
use crate::limit::CellName;
use crate::push::{MessageId, MessageKey, PushOwner};
use crate::session::store::LoginKey;
use crate::session::token::{Tag, name_of, tag_of};
use crate::session::{SessionId, UserKey};
use crate::store::settings::KeyPrefix;

/// Makes the names.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: KeyPrefix,
    naming: Arc<NamingKey>,
}

impl Keys {
    pub(super) const fn new(prefix: KeyPrefix, naming: Arc<NamingKey>) -> Self {
        Self { prefix, naming }
    }

    /// What all names begin with.
    pub(super) const fn prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    pub(super) fn tag(&self, user: &UserKey) -> Tag {
        tag_of(&self.naming, user)
    }

    /// The session's record.
    pub(super) fn session(&self, id: &SessionId) -> String {
        self.session_of(id.tag, &id.hash)
    }

    /// The record of the user's session that the index calls `hash`.
    pub(super) fn session_of(&self, tag: Tag, hash: &[u8; 16]) -> String {
        self.in_slot("s", tag, hash)
    }

    /// The user's index of sessions. The tag is the session's, so that both keys are in one slot
    /// whatever made the tag.
    pub(super) fn user(&self, tag: Tag, user: &UserKey) -> String {
        self.in_slot("u", tag, &name_of(&self.naming, user))
    }

    /// The user's index of sessions, of which none need be known.
    pub(super) fn of_user(&self, user: &UserKey) -> String {
        self.user(self.tag(user), user)
    }

    /// What operators have decided about the user: in the slot of the index.
    pub(super) fn state(&self, tag: Tag, user: &UserKey) -> String {
        self.in_slot("a", tag, &name_of(&self.naming, user))
    }

    /// The session whose record a key is.
    pub(super) fn session_in(&self, key: &str) -> Option<SessionId> {
        let rest = key
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix(":s:{")?;
        let (tag, hash) = rest.split_once("}:")?;
        Some(SessionId {
            tag: from_base64url(tag)?,
            hash: from_base64url(hash)?,
        })
    }

    /// The login code's reservation.
    pub(super) fn login(&self, login: &LoginKey) -> String {
        format!("{}:c:{}", self.prefix.as_str(), base64url(login))
    }

    /// A limit's cell.
    pub(super) fn cell(&self, cell: &CellName) -> String {
        match cell.tag {
            Some(tag) => self.in_slot("l", tag, &cell.name),
            None => format!("{}:l:{}", self.prefix.as_str(), base64url(&cell.name)),
        }
    }

    /// A token of a platform, for all gateways.
    pub(super) fn token(&self, name: &TokenName) -> String {
        match &name.authorizer {
            None => self.of_app(&name.appid, name.kind),
            Some(authorizer) => self.of_app(&name.appid, &format!("{authorizer}/{}", name.kind)),
        }
    }

    /// Who fetches the next one: in the slot of the token.
    pub(super) fn token_lease(&self, name: &TokenName) -> String {
        format!("{}:lease", self.token(name))
    }

    /// The tickets of an app whose token this is, and who fetches the next ones: in the slot of the
    /// token.
    pub(super) fn of_tickets(&self, name: &TokenName) -> impl Iterator<Item = String> {
        TicketKind::ALL.into_iter().flat_map(move |kind| {
            let ticket = TokenName {
                kind: kind.as_str(),
                ..name.clone()
            };
            [self.token(&ticket), self.token_lease(&ticket)]
        })
    }

    /// The last withdrawal of an authorizer: in the slot of its token.
    pub(super) fn withdrawal(&self, name: &TokenName) -> String {
        format!("{}:withdrawn", self.token(name))
    }

    pub(super) fn ticket(&self, component: &str) -> String {
        self.of_app(component, "ticket")
    }

    /// The refresh tokens of a component's authorizers: the only key without an expiry, in the slot
    /// of their tokens.
    pub(super) fn authorizers(&self, component: &str) -> String {
        self.of_app(component, "authorizers")
    }

    fn of_app(&self, appid: &str, what: &str) -> String {
        format!("{}:t:{{{appid}}}:{what}", self.prefix.as_str())
    }

    /// A message that a platform has pushed for an app.
    pub(super) fn pushed(&self, owner: PushOwner<'_>, id: &MessageId) -> String {
        self.of_owner(owner, &base64url(id))
    }

    /// The app's kept messages by the time when they are due: in the slot of the messages.
    pub(super) fn due(&self, owner: PushOwner<'_>) -> String {
        self.of_owner(owner, "due")
    }

    fn of_owner(&self, owner: PushOwner<'_>, what: &str) -> String {
        let PushOwner { app, appid } = owner;
        format!("{}:p:{{{appid}}}:{app}:{what}", self.prefix.as_str())
    }

    /// A message's name, which tells nobody its number or content.
    pub(super) fn message_id(
        &self,
        owner: PushOwner<'_>,
        authorizer: Option<&str>,
        key: &MessageKey,
    ) -> MessageId {
        let (kind, text) = match key {
            MessageKey::Id(id) => ("id", id.as_bytes()),
            MessageKey::Content(hash) => ("content", &hash[..]),
        };
        let mut parts = vec![
            owner.appid.as_bytes(),
            owner.app.as_bytes(),
            kind.as_bytes(),
            text,
        ];
        parts.extend(authorizer.map(str::as_bytes));
        self.naming.name("pushed message", &parts)
    }

    fn in_slot(&self, kind: &str, tag: Tag, name: &[u8; 16]) -> String {
        // Each lookup makes one: put together without the formatting machinery.
        let (tag, name) = (base64url_text::<3>(&tag), base64url_text::<22>(name));
        [self.prefix.as_str(), ":", kind, ":{", &tag, "}:", &name].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::session::ProviderKind;

    #[test]
    fn keys_have_the_documented_form() {
        let mut key = [7; 32];
        key[0] = 1;
        let keys = Keys::new(
            KeyPrefix::default(),
            Arc::new(NamingKey::new(&Secret::new(key))),
        );
        let id = SessionId {
            tag: [0xff, 0xfe],
            hash: [0; 16],
        };
        assert_eq!(keys.session(&id), "hufu:s:{__4}:AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(
            keys.session_in("hufu:s:{__4}:AAAAAAAAAAAAAAAAAAAAAA"),
            Some(id)
        );
        assert!(
            [
                "hufu:u:{__4}:AAAAAAAAAAAAAAAAAAAAAA",
                "other:s:{__4}:AAAAAAAAAAAAAAAAAAAAAA",
                "hufu:s:{__4}:AAA",
                ""
            ]
            .iter()
            .all(|key| keys.session_in(key).is_none())
        );
        assert_eq!(keys.login(&[0; 16]), "hufu:c:AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(
            keys.cell(&CellName {
                tag: None,
                name: [0; 16]
            }),
            "hufu:l:AAAAAAAAAAAAAAAAAAAAAA"
        );
        assert_eq!(
            keys.cell(&CellName {
                tag: Some([0xff, 0xfe]),
                name: [0; 16]
            }),
            "hufu:l:{__4}:AAAAAAAAAAAAAAAAAAAAAA"
        );
        let token = TokenName {
            appid: "wx1".into(),
            authorizer: None,
            kind: "access",
        };
        assert_eq!(keys.token(&token), "hufu:t:{wx1}:access");
        assert_eq!(keys.token_lease(&token), "hufu:t:{wx1}:access:lease");
        let of_authorizer = TokenName {
            authorizer: Some("wx2".into()),
            ..token
        };
        assert_eq!(keys.token(&of_authorizer), "hufu:t:{wx1}:wx2/access");
        assert_eq!(
            keys.withdrawal(&of_authorizer),
            "hufu:t:{wx1}:wx2/access:withdrawn"
        );
        assert_eq!(keys.ticket("wx1"), "hufu:t:{wx1}:ticket");
        assert_eq!(keys.authorizers("wx1"), "hufu:t:{wx1}:authorizers");
        let owner = PushOwner {
            app: "shop",
            appid: "wx1",
        };
        assert_eq!(
            keys.pushed(owner, &[0; 16]),
            "hufu:p:{wx1}:shop:AAAAAAAAAAAAAAAAAAAAAA"
        );
        assert_eq!(keys.due(owner), "hufu:p:{wx1}:shop:due");
        let user = |subject: &str| UserKey {
            provider: ProviderKind::WechatMiniProgram,
            app: "shop".into(),
            authorizer: None,
            subject: subject.into(),
        };
        let name = keys.user([0xff, 0xfe], &user("o1"));
        assert!(
            name.starts_with("hufu:u:{__4}:") && name.len() == 13 + 22,
            "{name}"
        );
        assert_eq!(
            keys.state([0xff, 0xfe], &user("o1")),
            name.replace(":u:", ":a:")
        );
        assert_ne!(name, keys.user([0xff, 0xfe], &user("o2")));
        assert_eq!(name, keys.user([0xff, 0xfe], &user("o1")));
    }
}
