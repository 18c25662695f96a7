"""A filter on the system calls of this process (seccomp): no network, no other programs, no other processes.

It lists what is refused, not what is allowed: the readers, Python and the C library may change with an upgrade, and
what files of strangers must never reach changes far less. Calls newer than the list do not exist for this process, as
on an older kernel. It holds without any privilege, in containers too, and cannot be taken off again.

The numbers are those of the kernel's tables for the two architectures (asm/unistd_64.h, asm-generic/unistd.h).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h, combined
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # struct seccomp_data; the low half of the argument
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
_NEWEST_KNOWN = 450

# linux/audit.h
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # name: number on x86_64, on aarch64; None where there is none
    # the network, and the way around this filter
    "socket": (41, 198),
    "accept": (43, 202),
    "accept4": (288, 242),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # other programs and other processes
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory that no limit of ours counts, or that outlives the process
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # files by their paths: Landlock does not rule this before Linux 6.2 (its third version)
    "truncate": (76, 45),
    # owners and marks of files, which Landlock does not rule
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # other name spaces and file systems
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # the kernel itself: rarely needed, often the way in
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "syslog": (103, 116),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
}
# The PDF library makes its own copy executable, which it need not be; everybody else's files are none of its business.
_PRETENDED: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_KILL, _TGKILL, _PRLIMIT, _SOCKETPAIR = (62, 129), (234, 131), (302, 261), (53, 199)


def install() -> bool:
    """Put the filter over this process and all its threads to come; False where the kernel or the machine has none.

    To be called while the process has one thread. Refused calls fail with EPERM; rights of files stay
    as they are, though the call says that it did as told.
    """
    machine = os.uname().machine
    if not sys.platform.startswith("linux") or machine not in _ARCHITECTURES or sys.maxsize < 2**32:
        return False
    program = _program(machine)
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    pointer = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0) == 0)


def _program(machine: str) -> bytes:
    """The filter as the kernel takes it (classic BPF), for this process on this machine."""
    column = list(_ARCHITECTURES).index(machine)
    lines = [
        _line(_LOAD, _ARCHITECTURE_AT),
        _line(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _line(_RETURN, _KILL_PROCESS),  # a call by the tables of another architecture
        _line(_LOAD, _NUMBER_AT),
        _line(_AT_LEAST, _NEWEST_KNOWN + 1, 0, 1),
        _line(_RETURN, _ERRNO | errno.ENOSYS),
        # Its flags lie in memory, where no filter can look. The C library then takes the older call.
        _line(_EQUAL, _CLONE3[column], 0, 1),
        _line(_RETURN, _ERRNO | errno.ENOSYS),
        # Threads, but no processes.
        _line(_EQUAL, _CLONE[column], 0, 4),
        _line(_LOAD, _FIRST_ARGUMENT_AT),
        _line(_ANY_BIT, _CLONE_THREAD, 1, 0),
        _line(_RETURN, _ERRNO | errno.EPERM),
        _line(_RETURN, _ALLOW),
    ]
    me = os.getpid()
    # Calls that are allowed with one first argument only: oneself, or a pair of sockets without addresses.
    for call, only in ((_KILL, me), (_TGKILL, me), (_PRLIMIT, 0), (_SOCKETPAIR, _AF_UNIX)):
        lines += [
            _line(_EQUAL, call[column], 0, 4),
            _line(_LOAD, _FIRST_ARGUMENT_AT),
            _line(_EQUAL, only, 1, 0),
            _line(_RETURN, _ERRNO | errno.EPERM),
            _line(_RETURN, _ALLOW),
        ]
    for calls, answer in ((_REFUSED, errno.EPERM), (_PRETENDED, 0)):
        for numbers in calls.values():
            number = numbers[column]
            if number is not None:
                lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _ERRNO | answer)]
    lines.append(_line(_RETURN, _ALLOW))
    return b"".join(lines)


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction: struct sock_filter. The jumps count the lines to skip."""
    return struct.pack("HBBI", code, if_true, if_false, value)
