! The way into the kernel of the emulated board, and the way into and out of traps. All other assembler of the board is
! one instruction long.
!
! It keeps: traps come from user mode only, and BL stays 1 until `rte`. The CPU so stays in register bank 1, and the
! program's r0 to r7 rest in bank 0. An exception in here would reset the machine.

        .section .kernel.start, "ax"
        .global board_entry
board_entry:                            ! QEMU enters here, in P2 and with SR = 0x700000F0: MD, RB, BL, IMASK 15
        mov.l   first_stack, r15
        mov.l   boot, r0
        jmp     @r0                     ! to P1, where the kernel is linked
        nop
        .balign 4
first_stack:
        .long   board_kernel_stack
boot:   .long   board_boot

        .balign 256
        .global board_vectors
board_vectors:
        .org    board_vectors + 0x100   ! general exceptions
        bra     trapped
        nop
        .org    board_vectors + 0x400   ! TLB misses; 0x600, the interrupts', is never used: IMASK stays 15
trapped:                                ! makes a `struct frame` below the kernel's stack top
        mov.l   stack, r0
        mov.l   r15, @-r0
        mov.l   r14, @-r0
        mov.l   r13, @-r0
        mov.l   r12, @-r0
        mov.l   r11, @-r0
        mov.l   r10, @-r0
        mov.l   r9, @-r0
        mov.l   r8, @-r0
        stc.l   r7_bank, @-r0
        stc.l   r6_bank, @-r0
        stc.l   r5_bank, @-r0
        stc.l   r4_bank, @-r0
        stc.l   r3_bank, @-r0
        stc.l   r2_bank, @-r0
        stc.l   r1_bank, @-r0
        stc.l   r0_bank, @-r0
        sts.l   macl, @-r0
        sts.l   mach, @-r0
        stc.l   gbr, @-r0
        sts.l   pr, @-r0
        stc.l   ssr, @-r0
        stc.l   spc, @-r0
        mov     r0, r15
        mov.l   trap, r1
        jsr     @r1
        mov     r0, r4
        mov     r15, r4

        .global board_resume
board_resume:                           ! r4: the frame to go on with
        mov     r4, r15
        ldc.l   @r15+, spc
        ldc.l   @r15+, ssr
        lds.l   @r15+, pr
        ldc.l   @r15+, gbr
        lds.l   @r15+, mach
        lds.l   @r15+, macl
        ldc.l   @r15+, r0_bank
        ldc.l   @r15+, r1_bank
        ldc.l   @r15+, r2_bank
        ldc.l   @r15+, r3_bank
        ldc.l   @r15+, r4_bank
        ldc.l   @r15+, r5_bank
        ldc.l   @r15+, r6_bank
        ldc.l   @r15+, r7_bank
        mov.l   @r15+, r8
        mov.l   @r15+, r9
        mov.l   @r15+, r10
        mov.l   @r15+, r11
        mov.l   @r15+, r12
        mov.l   @r15+, r13
        mov.l   @r15+, r14
        mov.l   @r15, r15
        rte
        nop                             ! runs with the program's SR already: nothing but a nop belongs here

        .balign 4
stack:  .long   board_kernel_stack
trap:   .long   board_trap
