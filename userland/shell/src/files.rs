//! Commands about files and about the store.
//!
//! Both servers may be killed and started again, and forget everything then:
//! a command that meets such an end says so.

use alloc::format;
use alloc::string::String;
use core::fmt::Display;

use postern_runtime::interface::{Owned, ServerError, USE};
use postern_runtime::protocol::CallError;
use postern_runtime::protocol::files::{Error, FilesClient, Info, Kind};
use postern_runtime::protocol::store::{self, Key, StoreClient};
use postern_runtime::protocol::supervisor::SupervisorClient;
use postern_runtime::relay::{self, RelayBuf};
use postern_runtime::{Env, own, println};

use crate::commands::Command;
use crate::format::Size;

/// Bytes that `cat` and `cp` move at a time.
const BLOCK: usize = 64 * 1024;

/// The servers that these commands are about.
pub struct Servers {
    supervisor: SupervisorClient,
    files: postern_runtime::Result<FilesClient>,
    store: postern_runtime::Result<StoreClient>,
}

impl Servers {
    pub fn new(env: &Env, supervisor: SupervisorClient) -> Self {
        Self { supervisor, files: env.capability("fs"), store: env.capability("kv") }
    }

    fn files(&self) -> Result<FilesClient, String> {
        self.files.map_err(text)
    }

    fn store(&self) -> Result<StoreClient, String> {
        self.store.map_err(text)
    }
}

type Outcome = Result<(), String>;

/// What these servers do for a command.
type Served = fn(&str, &Servers) -> Outcome;

pub const COMMANDS: &[Command<Served>] = &[
    Command { name: "ls", usage: "[PATH]", about: "list a directory", run: ls },
    Command { name: "cat", usage: "PATH", about: "print a file", run: cat },
    Command { name: "write", usage: "PATH TEXT", about: "make a file of one line", run: write },
    Command { name: "cp", usage: "FROM TO", about: "copy a file", run: cp },
    Command { name: "rm", usage: "PATH", about: "delete a file or empty directory", run: rm },
    Command { name: "mkdir", usage: "PATH", about: "make a directory", run: mkdir },
    Command { name: "df", usage: "", about: "show how full the file system is", run: df },
    Command {
        name: "kv",
        usage: "get|put|del|list",
        about: "values by key: kv put KEY VALUE, kv get KEY",
        run: kv,
    },
];

fn text(error: impl Display) -> String {
    format!("{error}")
}

/// What went wrong with `what`, in words.
fn about<E: ServerError>(what: &str) -> impl Fn(CallError<E>) -> String {
    move |error| match error {
        CallError::Server(error) => format!("`{what}`: {error}"),
        error if error.is_dead() => format!("{error}; what it kept in memory is lost"),
        error => text(error),
    }
}

/// The same with a buffer that was lent.
fn lent<E: ServerError, O>(what: &str) -> impl Fn((CallError<E>, O)) -> String {
    let about = about(what);
    move |(error, _)| about(error)
}

/// A path, also without the `/` before it.
fn path(typed: &str) -> String {
    if typed.starts_with('/') { typed.into() } else { format!("/{typed}") }
}

/// Two words; the second one is all the rest.
fn two(arguments: &str) -> (&str, &str) {
    let (first, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    (first, rest.trim())
}

fn needed(typed: &str) -> Result<String, String> {
    if typed.is_empty() { Err("which file?".into()) } else { Ok(path(typed)) }
}

fn ls(typed: &str, servers: &Servers) -> Outcome {
    let (files, path) = (servers.files()?, path(typed));
    let info = files.info(&path).map_err(about(&path))?;
    if info.kind == Kind::File {
        println!("{:>10}  {path}", Size(info.bytes));
        return Ok(());
    }
    for entry in files.entries(&path) {
        let entry = entry.map_err(about(&path))?;
        match entry.info.kind {
            Kind::File => println!("{:>10}  {}", Size(entry.info.bytes), entry.name),
            Kind::Directory => println!("{:>10}  {}/", "", entry.name),
        }
    }
    Ok(())
}

/// Reads a file from end to end, block by block in the same buffer, which
/// `each` gets and gives back.
fn blocks(
    files: FilesClient,
    path: &str,
    mut each: impl FnMut(RelayBuf, u64, usize) -> Result<RelayBuf, String>,
) -> Outcome {
    let Info { kind, bytes } = files.info(path).map_err(about(path))?;
    if kind == Kind::Directory {
        return Err(format!("`{path}`: {}", Error::IsDirectory));
    }
    let mut buffer = relay::buffer(BLOCK.min(bytes as usize)).map_err(text)?;
    let mut offset = 0;
    loop {
        let (count, back) = files.read(buffer, path, offset).map_err(lent(path))?;
        // A server may say anything.
        let length = usize::try_from(count).unwrap_or(usize::MAX).min(back.len());
        if length == 0 {
            return Ok(());
        }
        buffer = each(back, offset, length)?;
        offset += length as u64;
    }
}

fn cat(typed: &str, servers: &Servers) -> Outcome {
    let path = needed(typed)?;
    let console = own::console().map_err(text)?;
    blocks(servers.files()?, &path, |buffer, _, length| {
        console.write_all(&buffer[..length]).map_err(about("console"))?;
        Ok(buffer)
    })
}

/// Makes an empty file, or empties one.
fn fresh(files: FilesClient, path: &str) -> Outcome {
    match files.create(path) {
        Ok(()) => Ok(()),
        Err(CallError::Server(Error::Exists)) => files.resize(path, 0).map_err(about(path)),
        Err(error) => Err(about(path)(error)),
    }
}

fn write(arguments: &str, servers: &Servers) -> Outcome {
    let (typed, line) = two(arguments);
    let (files, path) = (servers.files()?, needed(typed)?);
    let line = format!("{line}\n");
    let mut buffer = relay::buffer(line.len()).map_err(text)?;
    buffer[..line.len()].copy_from_slice(line.as_bytes());
    fresh(files, &path)?;
    files.write(buffer, &path, 0, line.len() as u64).map_err(lent(&path))?;
    Ok(())
}

fn cp(arguments: &str, servers: &Servers) -> Outcome {
    let (from, to) = two(arguments);
    let (files, from, to) = (servers.files()?, needed(from)?, needed(to)?);
    if from == to {
        return Err("a file cannot be copied to itself".into());
    }
    files.info(&from).map_err(about(&from))?;
    fresh(files, &to)?;
    // What the server put into the buffer it gets back: nobody copies here.
    blocks(files, &from, |buffer, offset, length| {
        let written = files.write(buffer, &to, offset, length as u64);
        let ((), buffer) = written.map_err(lent(&to))?;
        Ok(buffer)
    })
}

fn rm(typed: &str, servers: &Servers) -> Outcome {
    let path = needed(typed)?;
    servers.files()?.remove(&path).map_err(about(&path))
}

fn mkdir(typed: &str, servers: &Servers) -> Outcome {
    let path = needed(typed)?;
    servers.files()?.make_directory(&path).map_err(about(&path))
}

fn df(_: &str, servers: &Servers) -> Outcome {
    let usage = servers.files()?.usage().map_err(about("fs"))?;
    println!("{} of {} are written, {} names", Size(usage.used), Size(usage.limit), usage.names);
    Ok(())
}

/// `run PATH ARG...`: the file is lent to the supervisor, which makes a program
/// of it that may do what this shell hands on: use its console.
pub fn run(typed: &str, arguments: &str, servers: &Servers) -> Outcome {
    let (files, path) = (servers.files()?, path(typed));
    let info = files.info(&path).map_err(about(&path))?;
    if info.kind == Kind::Directory {
        return Err(format!("`{path}`: {}", Error::IsDirectory));
    }
    let buffer = relay::buffer(info.bytes as usize).map_err(text)?;
    let (count, buffer) = files.read(buffer, &path, 0).map_err(lent(&path))?;
    let console = Owned::copy(own::console().map_err(text)?, USE).map_err(text)?;
    let name = path.rsplit('/').next().unwrap_or("");
    let started = servers.supervisor.run_file(buffer, count, name, arguments, console);
    let (id, buffer) = started.map_err(lent(&path))?;
    drop(buffer);
    let state = servers.supervisor.wait(id).map_err(about(&path))?;
    println!("{path} (number {id}) {state}");
    Ok(())
}

fn kv(arguments: &str, servers: &Servers) -> Outcome {
    let (verb, rest) = two(arguments);
    let (key, value) = two(rest);
    let store = servers.store()?;
    match verb {
        "get" => {
            let value = store.get(key).map_err(about(key))?;
            println!("{}", String::from_utf8_lossy(&value));
        }
        "put" => drop(store.put(key, value.as_bytes()).map_err(about(key))?),
        "del" => store.delete(key).map_err(about(key))?,
        "list" => {
            let mut after = Key::new("");
            loop {
                match store.next(&after) {
                    Ok(key) => after = key,
                    Err(CallError::Server(store::Error::NotFound)) => break,
                    Err(error) => return Err(about("kv")(error)),
                }
                println!("{after}");
            }
        }
        _ => println!("kv get KEY | put KEY VALUE | del KEY | list"),
    }
    Ok(())
}
