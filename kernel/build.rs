//! How the kernel is linked.
//!
//! It must never know more than the linker's options: what the kernel is made
//! of is in `src`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // No page of the file holds bytes of two segments, so that no frame is
    // mapped with the rights of both.
    println!("cargo::rustc-link-arg-bins=-zseparate-loadable-segments");
    // Crash reports name the build, and `xtask` compares it.
    println!("cargo::rustc-link-arg-bins=--build-id=sha1");
}
