//! Causes that many kinds share, for the manual.

use crosscheck_model::Cause;

/// Of finding an address that may be connected to, and of what the probe itself needs.
pub(super) const NAMES: &[Cause] = &[
    Cause::DnsNxdomain,
    Cause::DnsNoAddress,
    Cause::DnsServfail,
    Cause::DnsRefused,
    Cause::DnsTimeout,
    Cause::BlockedAddress,
    Cause::Setup,
];

/// Of a connection and what goes over it.
pub(super) const REACH: &[Cause] = &[
    Cause::Refused,
    Cause::Unreachable,
    Cause::Reset,
    Cause::ConnectTimeout,
    Cause::SendTimeout,
    Cause::FirstByteTimeout,
    Cause::TransferTimeout,
];

/// Of TLS and its certificates.
pub(super) const TLS: &[Cause] = &[
    Cause::TlsTimeout,
    Cause::TlsUntrusted,
    Cause::TlsName,
    Cause::TlsExpired,
    Cause::TlsHandshake,
    Cause::CertificateExpiring,
];
