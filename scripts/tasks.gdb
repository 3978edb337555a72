# SPDX-License-Identifier: ISC
# tasks.gdb - shows each living task of a service and where it waits (x86-64 with glibc):
#
#	gdb -q -batch -p PID -x scripts/tasks.gdb
#
# A parked task's registers lie in its jump buffer, scrambled by glibc with a secret of the thread. They
# are put in place for one backtrace, and the process goes on with its own.
set pagination off
set print frame-arguments none
set confirm off

define unscramble
  set $word = (unsigned long)$arg0
  set $result = (($word >> 17) | ($word << 47)) ^ *(unsigned long *)($fs_base + 0x30)
end

set $old_sp = $rsp
set $old_pc = $rip
set $old_bp = $rbp
set $task = all.lh_first
while $task
  if $task->run && $task->parked
    printf "\n=== %s", $task->name
    if $task->when != 0x7fffffffffffffff
      printf ", until %ld on the monotonic clock", $task->when
    end
    printf "\n"
    set $place = $task->fiber.place[0].__jmpbuf
    unscramble $place[1]
    set $rbp = $result
    unscramble $place[7]
    set $new_pc = $result
    unscramble $place[6]
    set $rsp = $result
    set $rip = $new_pc
    backtrace 12
    set $rsp = $old_sp
    set $rip = $old_pc
    set $rbp = $old_bp
  end
  set $task = $task->all_entry.le_next
end
