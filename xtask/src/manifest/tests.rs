//! Bad manifests, each with the exact text that a person reads.

use super::diagnostic::{Mistakes, Source};
use super::model::Object;
use super::{App, Manifest, Packages, compile};

/// A manifest that has nothing wrong; the tests append to it or put other
/// lines in.
const GOOD: &str = r#"[machine]
memory = "32 MiB"

[[program]]
name = "console"
package = "postern-console"
priority = 180
quota = "1 MiB"
services = ["console"]
restart = 5

[program.capabilities]
log = true
uart = { ports = "0x3f8-0x3ff" }
uart-irq = { irq = 4 }

[[program]]
name = "shell"
package = "postern-shell"
quota = "1 MiB"
capabilities = { clock = true, scheduler = { scheduler = 150 }, more = { factory = "64 KiB" } }
gates = { console = "console", other = { server = "console", rights = "wg", label = 4096 }, supervisor = "init" }
"#;

fn packages() -> Packages {
    let package = |name: &str, bins: &[&str]| {
        (name.to_owned(), bins.iter().map(|bin| (*bin).to_owned()).collect())
    };
    Packages(
        [
            package("postern-console", &["console"]),
            package("postern-shell", &["shell"]),
            package("postern-abi", &[]),
        ]
        .into(),
    )
}

fn app() -> App {
    let bins = vec!["client".to_owned(), "server".to_owned()];
    App { folder: "/tmp/mine".into(), package: "mine".into(), bins }
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn mistakes(sources: impl Into<Vec<Source>>) -> (Manifest, String) {
    let sources = sources.into();
    let mut mistakes = Mistakes::default();
    let app = app();
    let app = sources.get(1).map(|_| &app);
    let manifest = Manifest::from_sources(sources, &packages(), app, &mut mistakes);
    let text = mistakes.render(&manifest.sources);
    (manifest, text)
}

#[test]
fn a_good_manifest_compiles_to_what_it_says() {
    let (manifest, text) = mistakes([source("system.toml", GOOD)]);
    assert_eq!(text, "");
    assert_eq!(manifest.machine.memory, 32 << 20);
    let bytes = compile(&manifest.programs).expect("short enough");
    let read = postern_manifest::Manifest::parse(&bytes).expect("well-formed");
    let console = read.find("console").expect("is there");
    assert_eq!((console.priority, console.quota, console.restarts), (180, 1 << 20, 5));
    assert_eq!(console.services.iter().collect::<Vec<_>>(), ["console"]);
    let uart = console.capabilities.iter().nth(1).expect("is there");
    assert_eq!(uart.name, "uart");
    assert_eq!(uart.object, postern_manifest::Object::Ports { first: 0x3f8, count: 8 });
    let shell = read.find("shell").expect("is there");
    assert_eq!((shell.heap, shell.stack, shell.slots), (256 << 10, 64 << 10, 256));
    let names: Vec<_> = shell.capabilities.iter().map(|one| one.name).collect();
    assert_eq!(names, ["clock", "scheduler", "more", "console", "other", "supervisor"]);
    let labels: Vec<_> = manifest.programs[1].gates().map(|(_, gate)| gate.label.clone()).collect();
    assert_eq!(labels.iter().flatten().map(|label| label.value).collect::<Vec<_>>(), [4096]);
}

#[test]
fn an_app_has_the_same_grammar_and_its_own_file() {
    let text = "[[program]]\nname = \"client\"\ngates = { console = \"consol\" }\n";
    let (_, found) = mistakes([source("system.toml", GOOD), source("mine/postern.toml", text)]);
    assert_eq!(
        found,
        r#"error: unknown program `consol`
 --> mine/postern.toml:3:21
  |
3 | gates = { console = "consol" }
  |                     ^^^^^^^^ a gate without a server
  = help: did you mean `console`? programs with services: `console`, `init`
"#
    );
    let text = "[[program]]\nname = \"shell\"\n";
    let (_, found) = mistakes([source("system.toml", GOOD), source("mine/postern.toml", text)]);
    assert_eq!(
        found,
        r#"error: two programs are called `shell`
  --> mine/postern.toml:2:8
   |
 2 | name = "shell"
   |        ^^^^^^^ again
  ::: system.toml:18:8
   |
18 | name = "shell"
   |        ^^^^^^^ first here
"#
    );
    let text = "[[program]]\nname = \"mine\"\nbin = \"clint\"\npackage = \"other\"\n";
    let text = format!("{text}[[program]]\nname = \"two\"\nbin = \"clint\"\n");
    let (_, found) = mistakes([source("system.toml", GOOD), source("mine/postern.toml", &text)]);
    assert_eq!(
        found,
        r#"error: a program from outside is in its own package
 --> mine/postern.toml:4:11
  |
4 | package = "other"
  |           ^^^^^^^ this is `mine`
  = help: leave `package` out

error: the package `mine` has no program `clint`
 --> mine/postern.toml:7:7
  |
7 | bin = "clint"
  |       ^^^^^^^ no such binary
  = help: did you mean `client`? its binaries: `client`, `server`
"#
    );
}

#[test]
fn an_app_without_a_manifest_gets_what_most_need() {
    let text = super::packages::default_manifest("client", &["console"]);
    let sources = [source("system.toml", GOOD), source("default", &text)];
    let (manifest, found) = mistakes(sources);
    assert_eq!(found, "");
    let client = &manifest.programs[manifest.system];
    assert_eq!((client.name.value.as_str(), client.quota.value), ("client", 4 << 20));
    assert!(matches!(client.capabilities[0].object, Object::Log));
    assert_eq!(
        client.gates().map(|(one, _)| one.name.value.as_str()).collect::<Vec<_>>(),
        ["console"]
    );
    let text = super::packages::default_manifest("client", &["names", "console", "x"]);
    assert!(text.contains(r#"gates = { console = "console", names = "names" }"#), "{text}");
}

/// Bad lines and what a person reads about each. A case begins with `#### `,
/// the number of the line of [`GOOD`] that is replaced, and the text that
/// replaces it. `BLESS=1 cargo test` writes the file anew: look at it then.
const BAD: &str = include_str!("mistakes.txt");

#[test]
fn every_mistake_is_shown_where_it_is() {
    let mut blessed = String::new();
    for case in BAD.split("#### ").skip(1) {
        let (head, expected) = case.split_once('\n').expect("a head");
        let (number, text) = head.split_once(' ').expect("a line number");
        let number: usize = number.parse().expect("a line number");
        let mut lines: Vec<&str> = GOOD.lines().collect();
        lines[number - 1] = text;
        let (_, found) = mistakes([source("system.toml", &lines.join("\n"))]);
        blessed.push_str(&format!("#### {head}\n{found}\n"));
        let is_blessing = std::env::var_os("BLESS").is_some();
        assert!(is_blessing || found.trim() == expected.trim(), "\n--- for `{text}`:\n{found}");
        assert_ne!(found, "", "{text}");
    }
    if std::env::var_os("BLESS").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manifest/mistakes.txt");
        std::fs::write(file, blessed).expect("can be written");
    }
}

/// Three servers, each of which calls the next one.
const CIRCLE: &str = r#"
[machine]
memory = "64 MiB"

[[program]]
name = "console"
package = "postern-console"
services = ["a"]
gates = { next = "client" }

[[program]]
name = "client"
package = "postern-shell"
bin = "shell"
services = ["b"]
gates = { next = "server" }

[[program]]
name = "server"
package = "postern-shell"
bin = "shell"
services = ["c"]
gates = { first = { server = "console" } }
"#;

#[test]
fn servers_that_call_each_other_in_a_circle_are_shown_once() {
    let (_, found) = mistakes([source("system.toml", CIRCLE)]);
    assert_eq!(
        found.trim(),
        r#"error: programs that call each other wait for ever: console -> client -> server -> console
  --> system.toml:23:30
   |
23 | gates = { first = { server = "console" } }
   |                              ^^^^^^^^^ closes the circle
  ::: system.toml:9:18
   |
 9 | gates = { next = "client" }
   |                  ^^^^^^^^ begins it
   = help: if calls in it have timeouts, say so at this gate: `cycle = true`
"#
        .trim()
    );
    let allowed = CIRCLE.replace(r#""console" } }"#, r#""console", cycle = true } }"#);
    assert_eq!(mistakes([source("system.toml", &allowed)]).1, "");
    let (_, found) = mistakes([source("system.toml", &CIRCLE.replace("} }", ", cycle = 1 } }"))]);
    assert!(found.contains("should be a truth value"), "{found}");
}

#[test]
fn all_mistakes_are_shown_at_once_in_the_order_of_the_file() {
    let text = GOOD.replace("180", "0").replace("0x3ff", "0x3f0").replace("150", "999");
    let (_, found) = mistakes([source("system.toml", &text)]);
    let places: Vec<_> =
        found.lines().filter_map(|line| line.trim().strip_prefix("--> ")).collect();
    assert_eq!(places, ["system.toml:7:12", "system.toml:14:18", "system.toml:21:58"]);
}
