//! How the guest is linked: as the kernel is.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-zseparate-loadable-segments");
}
