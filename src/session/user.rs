//! Who a session belongs to.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A platform and the kind of client that signs in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// WeChat mini programs and mini games: `jscode2session`.
    WechatMiniProgram,
    /// Mini programs of others that have authorised a third-party platform of WeChat's.
    WechatComponent,
    /// Douyin mini programs.
    Douyin,
}

impl ProviderKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::WechatMiniProgram, Self::WechatComponent, Self::Douyin];

    /// The number in stored records, and the name in the configuration and in `X-Hufu-Provider`.
    /// Neither is ever used again for another kind.
    const fn stored(self) -> (u8, &'static str) {
        match self {
            Self::WechatMiniProgram => (1, "wechat-mini-program"),
            Self::Douyin => (2, "douyin"),
            Self::WechatComponent => (3, "wechat-component"),
        }
    }

    pub const fn as_str(self) -> &'static str {
        self.stored().1
    }

    pub const fn code(self) -> u8 {
        self.stored().0
    }

    /// The kind with this stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user: the subject that a platform vouches for, within one app. The same openid under another
/// app, or another authorizer, is another user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserKey {
    /// The platform.
    pub provider: ProviderKind,
    /// The app's name in the configuration.
    pub app: Arc<str>,
    /// The platform's id of the app that the user uses, where the configured app acts for those of
    /// others.
    pub authorizer: Option<Arc<str>>,
    /// The platform's name for the user, such as an openid.
    pub subject: Arc<str>,
}

/// The parts of a user's name: three, and the authorizer where there is one.
#[derive(Debug, Clone, Copy)]
pub struct UserParts<'a> {
    parts: [&'a [u8]; 4],
    count: usize,
}

impl<'a> Deref for UserParts<'a> {
    type Target = [&'a [u8]];

    fn deref(&self) -> &Self::Target {
        &self.parts[..self.count]
    }
}

impl UserKey {
    /// The parts that name the user, for keyed hashes.
    pub fn parts(&self) -> UserParts<'_> {
        let authorizer = self.authorizer.as_deref();
        UserParts {
            parts: [
                self.provider.as_str().as_bytes(),
                self.app.as_bytes(),
                self.subject.as_bytes(),
                authorizer.unwrap_or_default().as_bytes(),
            ],
            count: 3 + usize::from(authorizer.is_some()),
        }
    }
}
