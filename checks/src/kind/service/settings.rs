//! The settings of a service's kind. Every kind has the same words for the same things, so they
//! stand here once, and a kind adds its own.

/// Makes `Settings` of the words that all services have, those of TLS (`tls`), those of TLS in
/// the midst (`starttls`), and a kind's own; `Settings::place(ports)` says where the service is.
macro_rules! settings {
    (plain { $($own:tt)* }) => {
        $crate::kind::service::settings!(@struct { $($own)* });

        impl Settings {
            fn place(
                &self,
                port: u16,
            ) -> Result<$crate::kind::service::Place, Vec<$crate::kind::SettingsError>> {
                let words = $crate::kind::service::TlsWords::default();
                let address = self.address.or_port(port);
                $crate::kind::service::Place::new(address, self.family, self.slower_than, words)
            }
        }
    };
    (tls { $($own:tt)* }) => {
        $crate::kind::service::settings!(@tls { $($own)* });
        $crate::kind::service::settings!(@place false);
    };
    (starttls { $($own:tt)* }) => {
        $crate::kind::service::settings!(@tls {
            /// TLS in the midst: the server must offer it, and all that follows is encrypted.
            #[serde(default)]
            starttls: bool,
            $($own)*
        });
        $crate::kind::service::settings!(@place starttls);
    };
    (@tls { $($own:tt)* }) => {
        $crate::kind::service::settings!(@struct {
            /// TLS from the start.
            #[serde(default)]
            tls: bool,
            /// The name to ask for in TLS and to find in the certificate. Default: the address's host.
            server_name: Option<String>,
            /// A PEM file of the only roots to trust. Default: the system's.
            ca: Option<String>,
            /// A client certificate to show.
            client: Option<$crate::tls::Identity>,
            /// What the certificate must be beyond trusted.
            certificate: Option<$crate::tls::CertificateWanted>,
            $($own)*
        });
    };
    (@struct { $($own:tt)* }) => {
        /// The settings as people write them.
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            /// Where the service is; its port may be left out when it is the usual one.
            address: $crate::text::HostPort,
            /// The address family of a name; v4 when left out.
            family: Option<crosscheck_model::Family>,
            /// A run that takes longer is degraded.
            slower_than: Option<$crate::text::Span>,
            $($own)*
        }
    };
    (@place $($starttls:tt)*) => {
        impl Settings {
            /// `plain` is the usual port, `secure` that of TLS from the start.
            fn place(
                &self,
                plain: u16,
                secure: u16,
            ) -> Result<$crate::kind::service::Place, Vec<$crate::kind::SettingsError>> {
                let words = $crate::kind::service::TlsWords {
                    tls: self.tls,
                    starttls: $crate::kind::service::settings!(@value self $($starttls)*),
                    server_name: self.server_name.clone(),
                    ca: self.ca.clone(),
                    client: self.client.clone(),
                    certificate: self.certificate.clone(),
                };
                let address = self.address.or_port(if self.tls { secure } else { plain });
                $crate::kind::service::Place::new(address, self.family, self.slower_than, words)
            }
        }
    };
    (@value $settings:ident false) => { false };
    (@value $settings:ident starttls) => { $settings.starttls };
}
pub(in crate::kind) use settings;
