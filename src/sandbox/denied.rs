//! Why the simulated platform refuses.

/// Why a request is refused; each platform has a number of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    AppUnknown,
    WrongSecret,
    BadCode,
    CodeUsed,
    UserBlocked,
    TooOften,
    UserUnknown,
    BadSignature,
    BadToken,
    QuotaUsedUp,
    BadTicket,
    TicketExpired,
    BadAuthorizationCode,
    NotAuthorized,
    BadRefreshToken,
}
