! The traps of a component: arguments in r4 to r7 and results in r0 and r1, as C has them anyway.
! The numbers are those of `koboshi_sh4_abi::call`.

        .macro  call name, number
        .section .text.\name, "ax"
        .balign 4
        .global \name
        .type   \name, @function
\name:
        trapa   #\number
        rts
        nop
        .size   \name, . - \name
        .endm

        call    koboshi_trap_wait, 0
        call    koboshi_trap_ring, 1
        call    koboshi_trap_now, 2
        call    koboshi_trap_acknowledge, 3
        call    koboshi_trap_blame, 4
        call    koboshi_trap_facts, 5
        call    koboshi_trap_command, 6
        call    koboshi_trap_incident, 7
        call    koboshi_trap_log, 8
        call    koboshi_trap_exit, 9
        call    koboshi_trap_panic, 10
        call    koboshi_trap_window_closed, 11
        call    koboshi_trap_nothing, 12
        call    koboshi_trap_down, 13
        call    koboshi_trap_registers, 14
        call    koboshi_trap_put, 15
