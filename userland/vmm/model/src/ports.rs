//! I/O ports: the serial port, the old interrupt controllers and timer, and two
//! ways to turn the machine off. At every other port there is nothing: what is read
//! there is all ones, what is written is lost.

use postern_abi::harness::{EXIT_PORT, EXIT_SUCCESS};
use postern_syscall::vcpu::Exit;
use postern_syscall::vcpu::register::RAX;

use crate::exit::{End, Next, behind};
use crate::machine::{Host, Machine};
use crate::{pic, pit};

/// The serial port.
const SERIAL: u16 = 0x3f8;
const LAST_SERIAL: u16 = SERIAL + 7;
/// Power management control, and its order to turn off.
const POWER: u16 = 0x604;
const SOFT_OFF: u32 = 1 << 13;
/// The port at which a guest says how it ended.
const LAST: u16 = EXIT_PORT;

/// The guest reads or writes a port.
pub fn access(machine: &mut Machine, host: &mut impl Host, exit: &Exit) -> Next {
    let info = exit.info[0];
    let port = (info >> 16) as u16;
    if info & 1 << 2 != 0 {
        return Next::End(End::StringPort { port });
    }
    // One of three bits says how many bytes.
    let bytes = (info >> 4 & 7) as u32;
    let mask = if bytes == 4 { u32::MAX } else { (1 << (8 * bytes)) - 1 };
    let mut registers = behind(exit);
    let rax = &mut registers[RAX];
    if info & 1 == 0 {
        let value = *rax as u32 & mask;
        if let Some(end) = write(machine, host, port, value) {
            return Next::End(end);
        }
    } else if bytes == 4 {
        *rax = read(machine, host, port).into();
    } else {
        *rax = *rax & !u64::from(mask) | u64::from(read(machine, host, port) & mask);
    }
    Next::Resume(registers)
}

fn read(machine: &mut Machine, host: &impl Host, port: u16) -> u32 {
    match port {
        SERIAL..=LAST_SERIAL => 0xffff_ff00 | u32::from(machine.uart.read(port - SERIAL)),
        port if pic::PORTS.contains(&port) => 0xffff_ff00 | u32::from(machine.pics.read(port)),
        pit::FIRST..=pit::LAST | pit::GATE => {
            0xffff_ff00 | u32::from(machine.pit.read(port, host.now()))
        }
        _ => u32::MAX,
    }
}

fn write(machine: &mut Machine, host: &mut impl Host, port: u16, value: u32) -> Option<End> {
    match port {
        SERIAL..=LAST_SERIAL => {
            if let Some(byte) = machine.uart.write(port - SERIAL, value as u8) {
                host.sent(byte);
            }
        }
        LAST => {
            let code = value as u8;
            return Some(End::Off(if code == EXIT_SUCCESS { 0 } else { code }));
        }
        POWER if value & SOFT_OFF != 0 => return Some(End::Off(0)),
        port if pic::PORTS.contains(&port) => machine.pics.write(port, value as u8),
        pit::FIRST..=pit::LAST | pit::GATE => machine.pit.write(port, value as u8, host.now()),
        _ => {}
    }
    None
}
