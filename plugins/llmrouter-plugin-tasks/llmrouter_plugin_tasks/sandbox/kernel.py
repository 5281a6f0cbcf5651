"""Have the Linux kernel hold this process: no files, no network, no new process, no privilege.

Landlock decides which paths may be opened, seccomp which system calls may be made. Neither needs
root, neither can be undone, and both hold whatever the code does inside the process, `ctypes`
included. This module runs in the sandbox's interpreter and imports the standard library only.
"""

import ctypes
import errno
import os
import platform
import struct

# Numbers of the calls that are refused, on x86-64 and on 64-bit ARM (-1: does not exist there).
_DENIED = {
    # New processes and programs; `clone` is looked at below.
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    # Sockets; a pair that is connected to itself harms nobody.
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept4": (288, 242),
    # Reaching into other processes.
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # Leaving the process group, the limits or the sandbox.
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "prctl": (157, 167),
    "setrlimit": (160, 164),
    "prlimit64": (302, 261),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "personality": (135, 92),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # Calls that would go round this filter, or that outlive the process.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "syslog": (103, 116),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # Changes to files that Landlock does not cover.
    "truncate": (76, 45),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "mknod": (133, -1),
    "mknodat": (259, 33),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_CLONE, _FCNTL, _CLONE3, _LATER = (56, 220), (72, 25), 435, 457  # numbers, as above
_THREAD = 0x10000  # CLONE_THREAD: a thread of this process, which its limits cover
_OWNERS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: a signal sent by another road

_READ, _WRITE = 0b1101, 0b10  # execute, read a file, read a folder; write a file
_PLAIN = 0b0111  # what may be said of something that is no folder


class Unheld(Exception):
    """The kernel cannot hold the code; the message says what it lacks."""


def confine(readable: list[str]) -> None:
    """Let this process and its children read *readable* and touch no other path; drop root.

    Raises:
        Unheld: The kernel has no Landlock.
    """
    call = _libc().syscall
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        raise Unheld("only Linux on x86-64 and 64-bit ARM can hold it")
    version = call(444, None, ctypes.c_size_t(0), 1)
    if version < 1:
        raise Unheld("its kernel has no Landlock")
    if _libc().prctl(38, 1, 0, 0, 0):  # no new privileges, ever
        raise Unheld("its kernel keeps no process from gaining privileges")
    paths = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    words = [paths, *([3] if version >= 4 else []), *([3] if version >= 6 else [])]
    rules = struct.pack(f"={len(words)}Q", *words)  # paths, TCP ports, sockets and signals
    ruleset = call(444, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        raise Unheld("its kernel makes no Landlock rules")
    for path in readable:
        _allow(ruleset, path, _READ & paths)
    _allow(ruleset, os.devnull, (_READ | _WRITE) & paths)
    # A capability would still open what is closed: give them all back, as root has them.
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    if _libc().capset(header, none) or call(446, ruleset, 0):
        raise Unheld("its kernel does not apply Landlock")
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what does not exist needs no rule
    if not os.path.isdir(path):
        access &= _PLAIN
    _libc().syscall(445, ruleset, 1, struct.pack("=Qi", access, place), 0)
    os.close(place)


def restrict() -> None:
    """Refuse, from now on, every call that no test of a function needs.

    Raises:
        Unheld: The kernel has no seccomp filters.
    """
    column, architecture = _MACHINES[platform.machine()]
    refused = 0x00050000 | errno.EPERM
    unknown = 0x00050000 | errno.ENOSYS
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, architecture), (0x06, 0, 0, 0x80000000)]
    code += [(0x20, 0, 0, 0), (0x35, 0, 1, _LATER), (0x06, 0, 0, unknown)]
    code += [(0x15, 0, 1, _CLONE3), (0x06, 0, 0, unknown)]  # libc then asks for `clone`
    for numbers in _DENIED.values():
        if numbers[column] >= 0:
            code += [(0x15, 0, 1, numbers[column]), (0x06, 0, 0, refused)]
    code += [(0x15, 0, 3, _CLONE[column]), (0x20, 0, 0, 16)]  # its flags
    code += [(0x45, 1, 0, _THREAD), (0x06, 0, 0, refused)]
    code += [(0x20, 0, 0, 0), (0x15, 0, 1 + len(_OWNERS), _FCNTL[column]), (0x20, 0, 0, 24)]
    code += [(0x15, len(_OWNERS) - place, 0, command) for place, command in enumerate(_OWNERS)]
    code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, refused)]
    program = b"".join(struct.pack("=HBBI", *line) for line in code)
    lines = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("@HP", len(code), ctypes.addressof(lines))
    libc = _libc()
    if libc.prctl(22, 2, filter_, 0, 0):
        raise Unheld("its kernel has no seccomp filters")


def die_with_parent() -> None:
    """Be killed when the process that made this one ends."""
    _libc().prctl(1, 9, 0, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
