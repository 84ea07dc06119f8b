//! A simulated board management controller, which speaks real IPMI: OpenIPMI's `ipmi_sim`.

use std::io;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use super::free_udp;
use crate::eventually::eventually;
use crate::process::Process;
use crate::scratch::Scratch;

/// The upper thresholds that it tells, of a warning and of an alarm.
const WARM: u8 = 80;
const HOT: u8 = 90;

/// That it is above the second (IPMI 2.0, 35.14). The simulator compares nothing by itself.
const IS_HOT: &str = "sensor_set_bit 0x20 0 1 3 1 0\nsensor_set_bit 0x20 0 1 4 1 0\n";

/// The head of the sensor's record (IPMI 2.0, 43.1): its number is 1, it shows degrees Celsius of a
/// processor as they are, and its upper thresholds are known.
const RECORD: [u8; 31] = [
    0x20, 0, 1, 3, 1, 0x67, 0x48, 1, 1, 0x80, 2, 0x80, 2, 0x18, 0x18, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0xff, 0,
];

const NAME: &[u8] = b"CPU Temp";

/// Whether anybody is there (IPMI 2.0, 13.2.3: RMCP's presence ping).
const PING: [u8; 12] = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 0, 0, 0];

/// How long the answer may take before it is asked for again.
const ANSWERS_WITHIN: Duration = Duration::from_millis(200);

/// A controller with one sensor, `CPU Temp`, and the user `probe`, whose password is `hunter22`.
pub struct Bmc {
    /// Its port at the address that it was given.
    pub port: u16,
    _process: Process,
}

impl Bmc {
    /// Starts one at an address of loopback, as hot as this.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn start(scratch: &Scratch, ip: &str, degrees: u8) -> Self {
        let port = free_udp();
        let name = format!("bmc-{port}");
        scratch.directory(&format!("{name}/ipmi_sim/{name}"));
        let lan = format!(
            "name \"{name}\"\nset_working_mc 0x20\nstartlan 1\naddr {ip} {port}\n\
             priv_limit admin\nallowed_auths_admin none md2 md5 straight\n\
             guid a123456789abcdefa123456789abcdef\nendlan\n\
             user 2 true \"probe\" \"hunter22\" admin 10 none md2 md5 straight\n"
        );
        let mut record = RECORD.to_vec();
        record.extend([0, HOT, WARM, 0, 0, 0, 0, 0, 0, 0, 0]);
        record.push(0xc0 | u8::try_from(NAME.len()).expect("short"));
        record.extend(NAME);
        let length = u8::try_from(record.len()).expect("short");
        let record: Vec<String> = [1, 0, 0x51, 1, length]
            .iter()
            .chain(&record)
            .map(|byte| format!("{byte:#04x}"))
            .collect();
        let none = "000000000000000";
        let commands = format!(
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n\
             sel_enable 0x20 1000 0x0a\nsensor_add 0x20 0 1 1 1\n\
             sensor_set_event_support 0x20 0 1 enable scanning per-state {none} {none} {none} {none}\n\
             sensor_set_threshold 0x20 0 1 settable 011000 0 {HOT} {WARM} 0 0 0\n\
             sensor_set_value 0x20 0 1 {degrees} 0\n{}main_sdr_add 0x20 {}\nmc_enable 0x20\n",
            if degrees >= HOT { IS_HOT } else { "" },
            record.join(" "),
        );
        let (lan, commands) = (
            scratch.write(&format!("{name}.conf"), &lan),
            scratch.write(&format!("{name}.emu"), &commands),
        );
        let mut command = Command::new("ipmi_sim");
        command.arg("-n").arg("-c").arg(lan).arg("-f").arg(commands);
        command.arg("-s").arg(scratch.file(&name));
        let log = scratch.file(&format!("{name}.log"));
        let process = Process::start("ipmi_sim", &mut command, &log);
        eventually(super::START_WITHIN, "ipmi_sim answers", || {
            let seen = ping(ip, port).map_err(|error| format!("{error}\n{}", process.log()));
            async move { seen }
        })
        .await;
        Self { port, _process: process }
    }
}

fn ping(ip: &str, port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((ip, 0))?;
    socket.connect((ip, port))?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    socket.send(&PING)?;
    socket.recv(&mut [0; 64]).map(drop)
}
