# Postern in gdb: what the kernel knows, and the view of any thread.
#
#   postern tasks            the tasks
#   postern threads          the threads, and the contexts of entries
#   postern gates            the gates, and where they lead
#   postern thread N         the view of thread N: its registers and its memory,
#                            so that `bt`, `info locals` and `x` are its own
#   postern back             back to the CPU; done by itself before it goes on
#   postern program NAME     the symbols of a program, which all lie at one address
#   postern break NAME PLACE a breakpoint in one program only, or in the `kernel`
#
# Reads the kernel's state by its debug information and changes none of it. The
# view sets registers of the CPU, and gives them back before the CPU runs on.
#
# `PROGRAMS` (names and files) and `IMAGE` (where programs are loaded) are set by
# what sources this file.
import re

import gdb

ODD = 1 << 32
GENERAL = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]
VIEW = ["rip", "rsp"] + GENERAL
# The number of CR3 in QEMU's protocol.
CR3 = 29


def kernel():
    """The kernel's state."""
    cell = gdb.lookup_static_symbol("postern_machine::cell::KERNEL").value()
    kind = gdb.lookup_type("postern_core::Kernel<postern_machine::x86::X86>")
    return cell.address.cast(kind.pointer()).dereference()


def inside(value):
    """What wrappers of Rust's library hold."""
    while True:
        names = [field.name for field in value.type.fields()]
        if "value" in names:
            value = value["value"]
        elif names == ["__0"]:
            value = value["__0"]
        else:
            return value


def objects(arena):
    """Index and value of all that lives in an arena."""
    table = arena["slots"]
    first = table["elements"]["pointer"]
    for index in range(int(table["len"])):
        slot = (first + index).dereference()
        if int(slot["name"]) & ODD:
            yield index, inside(slot["value"])


def word(value, offset=0):
    """Eight bytes of a value, whatever its type."""
    memory = gdb.selected_inferior().read_memory(int(value.address) + offset, 8)
    return int.from_bytes(bytes(memory), "little")


def reference(value):
    """The index in a `Ref`, or in an `Option` of one; None if there is none."""
    name = word(value)
    index = name & 0xFFFFFFFF
    return None if name == 0 or index == 0xFFFFFFFF else index


def text(array):
    memory = gdb.selected_inferior().read_memory(int(array.address), array.type.sizeof)
    return bytes(memory).split(b"\0")[0].decode("utf-8", "replace")


def variant(value):
    """The name of an enumeration's variant."""
    found = re.match(r"[\w:<>, ]*::(\w+)", str(value).split("(")[0].split("{")[0].strip())
    return found.group(1) if found else str(value)


def tasks():
    return {index: task for index, task in objects(kernel()["tasks"])}


def threads():
    return {index: thread for index, thread in objects(kernel()["threads"])}


def program_of(thread, known=None):
    """The name of a thread's program."""
    task = (known or tasks()).get(reference(thread["task"]))
    return text(task["name"]) if task is not None else "-"


def current():
    """The thread that has the CPU, by the kernel's account."""
    index = reference(kernel()["current"])
    return index, threads().get(index)


def register(name):
    # Some of them are pointers, or sets of flags, which Rust does not cast.
    return int(gdb.parse_and_eval("$" + name).format_string(format="x").split()[0], 16)


def in_kernel():
    return register("rip") & (1 << 63) != 0


class Symbols:
    """Symbols of one program at a time: all are loaded at one address."""
    loaded = None

    @classmethod
    def use(cls, name):
        if name == cls.loaded or name not in PROGRAMS:
            return
        if cls.loaded is not None:
            gdb.execute(f"remove-symbol-file {PROGRAMS[cls.loaded]}", to_string=True)
        gdb.execute(f"add-symbol-file {PROGRAMS[name]} -o {IMAGE:#x}", to_string=True)
        cls.loaded = name


class View:
    """Registers of the CPU while the view of a thread is shown."""
    saved = None

    @classmethod
    def show(cls, index):
        cls.back()
        thread = threads().get(index)
        if thread is None:
            raise gdb.GdbError(f"there is no thread {index}; `postern threads` lists them")
        known = reference(kernel()["current"]) == index and not in_kernel()
        if known:
            Symbols.use(program_of(thread))
            return
        saved = {name: register(name) for name in VIEW + ["cr3"]}
        user, root = thread["user"], word(thread["root"])
        if root == 0:
            raise gdb.GdbError(f"thread {index} belongs to no task")
        registers = user["registers"]
        full = variant(user["form"]) == "Full"
        values = {name: int(registers[name]) if full else 0 for name in GENERAL}
        values["rip"], values["rsp"] = int(registers["rip"]), int(registers["rsp"])
        name = program_of(thread)
        # Nothing is asked of the kernel's memory after this.
        cls.saved = saved
        cls.set_root(root)
        if not full:
            # The stub of a system call has left it on the stack.
            memory = gdb.selected_inferior().read_memory(values["rsp"], 8)
            values["rbp"] = int.from_bytes(bytes(memory), "little")
        for register_name, value in values.items():
            cls.set(register_name, value)
        gdb.invalidate_cached_frames()
        Symbols.use(name)

    @classmethod
    def back(cls):
        if cls.saved is None:
            return
        saved, cls.saved = cls.saved, None
        cls.set_root(saved.pop("cr3"))
        for name, value in saved.items():
            cls.set(name, value)
        gdb.invalidate_cached_frames()
        stopped(None)

    @staticmethod
    def set_root(value):
        # Its type is one that gdb does not assign to, so it is sent to QEMU.
        connection = gdb.selected_inferior().connection
        now = bytes(connection.send_packet(f"p{CR3:x}"))
        if int.from_bytes(bytes.fromhex(now.decode()), "little") != register("cr3"):
            raise gdb.GdbError("this QEMU numbers its registers in another way")
        connection.send_packet(f"P{CR3:x}={value.to_bytes(8, 'little').hex()}")
        gdb.execute("maintenance flush register-cache", to_string=True)

    @staticmethod
    def set(name, value):
        gdb.execute("set language c", to_string=True)
        gdb.execute(f"set ${name} = {value:#x}", to_string=True)
        gdb.execute("set language auto", to_string=True)


def address_of(place, of_kernel):
    """Where a function, or a line of a file, is: in the kernel, or not."""
    def decode(text):
        try:
            _, found = gdb.decode_line(text)
        except gdb.error:
            return []
        return [at.pc for at in found or () if (at.pc >> 63 != 0) == of_kernel]

    found = decode(place)
    if not found:
        # Names of generic functions have their types with them.
        listed = gdb.execute(f"info functions {re.escape(place)}", to_string=True)
        names = re.findall(rf"fn (\S*\b{re.escape(place)}(?:<.*?>)?)\(", listed)
        found = [pc for name in names for pc in decode(name)]
    if not found:
        raise gdb.GdbError(f"postern break: nothing is called `{place}` there, or all of it is inlined")
    return found[0]


class Breakpoint(gdb.Breakpoint):
    """One that stops only one program, or the kernel."""

    def __init__(self, name, place):
        Symbols.use(name)
        self.name = name
        super().__init__(f"*{address_of(place, name == 'kernel'):#x}")

    def stop(self):
        if self.name == "kernel":
            return True
        _, thread = current()
        return thread is not None and not in_kernel() and program_of(thread) == self.name


class Postern(gdb.Command):
    """What Postern's kernel knows: tasks, threads, gates; the view of a thread."""

    def __init__(self):
        super().__init__("postern", gdb.COMMAND_DATA, prefix=True)


class Sub(gdb.Command):
    def __init__(self, name, about):
        self.__doc__ = about
        super().__init__("postern " + name, gdb.COMMAND_DATA)


class Tasks(Sub):
    def invoke(self, argument, from_tty):
        View.back()
        print(f"{'TASK':>4}  {'PROGRAM':<16} {'THREADS':>7} {'SLOTS':>6} {'MAPPED':>10}")
        for index, task in sorted(tasks().items()):
            mapped = int(task["mapped"]) // 1024
            print(f"{index:>4}  {text(task['name']) or '-':<16} {int(task['thread_count']):>7}"
                  f" {int(task['slots_used']):>6} {mapped:>6} KiB")


class Threads(Sub):
    def invoke(self, argument, from_tty):
        View.back()
        known, all_threads = tasks(), threads()
        running, _ = current()
        print(f"   {'THREAD':>6}  {'PROGRAM':<16} {'PRIO':>4}  {'STATE':<10} WAITS FOR, OR ANSWERS")
        for index, thread in sorted(all_threads.items()):
            state = variant(thread["state"])
            notes = []
            answerer = reference(thread["answerer"])
            if state == "Calling" and answerer in all_threads:
                notes.append(f"waits for {answerer} ({program_of(all_threads[answerer], known)})")
            elif state == "Calling":
                notes.append("waits for an answer that was put off")
            caller = reference(thread["caller"]) if "None" not in str(thread["caller"]) else None
            if caller in all_threads and reference(all_threads[caller]["answerer"]) == index:
                notes.append(f"answers {caller} ({program_of(all_threads[caller], known)})")
            if variant(thread["role"]) == "Context":
                notes.append("context")
            mark = "*" if index == running else " "
            print(f" {mark} {index:>6}  {program_of(thread, known):<16} {int(thread['effective']):>4}"
                  f"  {state:<10} {', '.join(notes)}")


class Gates(Sub):
    def invoke(self, argument, from_tty):
        View.back()
        known, all_threads = tasks(), threads()
        entries = dict(objects(kernel()["entries"]))
        print(f"{'GATE':>4}  {'LABEL':>18}  LEADS TO")
        for index, gate in sorted(objects(kernel()["gates"])):
            target, kind = gate["target"], variant(gate["target"])
            # Behind the number of the variant.
            at = word(target, 8) & 0xFFFFFFFF
            if kind == "Thread" and at in all_threads:
                where = f"thread {at} ({program_of(all_threads[at], known)})"
            elif kind == "Entry" and at in entries:
                where = f"entry {at} ({program_of(entries[at], known)})"
            else:
                where = "nothing" if kind == "Unbound" else "somebody who is gone"
            print(f"{index:>4}  {int(gate['label']):>#18x}  {where}")


class Thread(Sub):
    def invoke(self, argument, from_tty):
        try:
            index = int(argument)
        except ValueError:
            raise gdb.GdbError("postern thread: which one? `postern threads` lists them")
        View.show(index)
        gdb.execute("frame 0")


class Back(Sub):
    def invoke(self, argument, from_tty):
        View.back()
        gdb.execute("frame 0")


class Program(Sub):
    def invoke(self, argument, from_tty):
        if argument not in PROGRAMS:
            names = ", ".join(sorted(PROGRAMS))
            raise gdb.GdbError(f"postern program: no `{argument}`; there are {names}")
        Symbols.use(argument)


class Break(Sub):
    def invoke(self, argument, from_tty):
        name, _, place = argument.partition(" ")
        if name != "kernel" and name not in PROGRAMS or not place:
            raise gdb.GdbError("postern break: PROGRAM PLACE, as in `postern break shell main`")
        Breakpoint(name, place)


Postern()
Tasks("tasks", "List the tasks.")
Threads("threads", "List the threads and contexts; `*` has the CPU.")
Gates("gates", "List the gates, and where they lead.")
Thread("thread", "Show the view of a thread: postern thread N.")
Back("back", "Back to the view of the CPU.")
Program("program", "Use the symbols of a program: postern program NAME.")
Break("break", "Set a breakpoint in one program, or the kernel: postern break NAME PLACE.")

for command in ["continue", "step", "stepi", "next", "nexti", "finish", "until", "detach", "kill"]:
    gdb.execute(f"define hook-{command}\npython View.back()\nend")


def stopped(event):
    """In a program its symbols are those that count."""
    try:
        if not in_kernel():
            _, thread = current()
            if thread is not None:
                Symbols.use(program_of(thread))
    except (gdb.error, gdb.MemoryError):
        # The kernel is not there yet.
        pass


gdb.events.stop.connect(stopped)
