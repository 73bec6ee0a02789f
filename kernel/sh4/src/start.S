! The way into the kernel and back: all assembler that is not one instruction long.
!
! It keeps: BL is 1 from a trap to its `rte`, so the processor stays in register bank 1 and the component's r0 to r7 rest in
! bank 0. Nothing here, and nothing that is called from here, may fault: with BL = 1 that resets the machine. All of it
! lies in P1, which needs no TLB.

        ! Offsets in a `Context` (machine.rs).
        .set    REGIONS, 0
        .set    SIZE, 92                ! regions, spc, ssr, pr, gbr, mach, macl, r0 to r15

        ! The vectors are at VBR + 0x100, 0x400 and 0x600. Nothing lies at VBR itself, and what all of them go on with fills the
        ! gap behind the first one.
        .section .text.vectors, "ax"
        .balign 32
        .global koboshi_vectors
        .set    koboshi_vectors, exceptions - 0x100
exceptions:                             ! VBR + 0x100: general exceptions
        mov.l   ccn_3, r2
        mov.l   @(0x24, r2), r1         ! EXPEVT
trapped:                                ! r1: what has happened. Stores a `Context`
        mov.l   current_3, r0
        mov.l   @r0, r0
        add     #SIZE, r0
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
        mov     r1, r5
        mov.l   kernel, r1              ! machine, stack, the module's stack
        mov.l   @r1+, r4
        mov.l   @r1+, r15
        ldc.l   @r1+, gbr
        mov.l   trap, r1
        jsr     @r1
        nop

resume:                                 ! r0: the context to go on with
        mov.l   current_3, r1
        mov.l   r0, @r1
        add     #4, r0
        ldc.l   @r0+, spc
        ldc.l   @r0+, ssr
        lds.l   @r0+, pr
        ldc.l   @r0+, gbr
        lds.l   @r0+, mach
        lds.l   @r0+, macl
        ldc.l   @r0+, r0_bank
        ldc.l   @r0+, r1_bank
        ldc.l   @r0+, r2_bank
        ldc.l   @r0+, r3_bank
        ldc.l   @r0+, r4_bank
        ldc.l   @r0+, r5_bank
        ldc.l   @r0+, r6_bank
        ldc.l   @r0+, r7_bank
        mov.l   @r0+, r8
        mov.l   @r0+, r9
        mov.l   @r0+, r10
        mov.l   @r0+, r11
        mov.l   @r0+, r12
        mov.l   @r0+, r13
        mov.l   @r0+, r14
        mov.l   @r0, r15
        rte
        nop                             ! it runs with the component's SR already: nothing else belongs here

        .balign 4
ccn_3:  .long   0xff000000
current_3: .long koboshi_current
kernel: .long   koboshi_kernel
trap:   .long   koboshi_trap

        ! koboshi_enter(context, machine): from here on there are traps. The stacks of this call are those of all traps.
        .global koboshi_enter
koboshi_enter:
        mov.l   kernel_2, r0
        add     #12, r0
        stc.l   gbr, @-r0
        mov.l   r15, @-r0
        mov.l   r5, @-r0
        mov.l   vectors, r0
        ldc     r0, vbr
        bra     resume
        mov     r4, r0

        .balign 4
kernel_2: .long koboshi_kernel
vectors: .long  koboshi_vectors

        ! koboshi_idle(): the address of what runs when nobody has anything to do. Interrupts come there.
        .global koboshi_idle
        .balign 4
koboshi_idle:
        mova    idle, r0
        rts
        nop
        .balign 4
idle:   sleep
        bra     idle
        nop

        ! koboshi_caches(): writes back what a boot loader has left in the operand cache, and sets up both caches, empty. It is
        ! called at its address in P2, where code is not cached, before anything is stored.
        .global koboshi_caches
        .balign 4
koboshi_caches:
        mov.l   ccr, r1
        mov.l   @r1, r0
        tst     #1, r0                  ! OCE: after a reset it is off, and what the cache holds means nothing
        bt      2f
        mov.l   lines, r2
        mov.l   count, r3
        mov     #0, r0
1:      mov.l   r0, @r2                 ! a line that is not written back is, before it is dropped
        dt      r3
        bf/s    1b
        add     #32, r2
2:      mov.l   on, r0
        mov.l   r0, @r1
        nop
        nop
        nop
        nop
        nop
        nop
        nop
        nop
        rts
        nop
        .balign 4
ccr:    .long   0xff00001c
lines:  .long   0xf4000000              ! the operand cache's addresses, each 32 bytes a line
count:  .long   2048                    ! those of all ways; more than a chip has come round again
on:     .long   0x90d                   ! ICI 11, ICE 8, OCI 3, CB 2 (P1 is copied back), OCE 0

        .org    exceptions + 0x300      ! VBR + 0x400: TLB misses: looks for the address in the component's regions
        mov.l   ccn_2, r0
        mov.l   current_2, r1
        mov.l   @r1, r1
        mov.l   @(REGIONS, r1), r1
        mov.l   @(0x0c, r0), r2         ! TEA
1:      mov.l   @r1+, r3                ! start
        mov.l   @r1+, r4                ! length
        mov.l   @r1+, r5                ! entry: rights, and how far away the memory is
        tst     r4, r4
        bt      2f
        mov     r2, r6
        sub     r3, r6
        cmp/hs  r4, r6
        bt      1b
        mov.l   page, r6
        and     r6, r2
        add     r5, r2
        mov.l   r2, @(0x04, r0)         ! PTEL; PTEH holds page and address space already
        ldtlb
        nop
        rte
        nop
2:      bra     trapped
        mov.l   @(0x24, r0), r1         ! EXPEVT

        .balign 4
ccn_2:  .long   0xff000000
current_2: .long koboshi_current
page:   .long   0xfffff000

        .org    exceptions + 0x500      ! VBR + 0x600: interrupts
        mov.l   ccn_4, r2
        mov.l   @(0x28, r2), r1         ! INTEVT
        mov.l   interrupt, r2
        bra     trapped
        or      r2, r1

        .balign 4
ccn_4:  .long   0xff000000
interrupt: .long 0x80000000

        ! koboshi_write_back(address, lines): what was stored in so many lines of 32 bytes is in memory, where code is
        ! fetched from. The address is one in P1, and a multiple of 32.
        .section .text.koboshi_write_back, "ax"
        .balign 4
        .global koboshi_write_back
koboshi_write_back:
        ocbwb   @r4
        dt      r5
        bf/s    koboshi_write_back
        add     #32, r4
        rts
        nop

        ! koboshi_forget_code(): what the instruction cache holds is forgotten. That is done from P2, where code is not cached.
        .section .text.koboshi_forget_code, "ax"
        .balign 4
        .global koboshi_forget_code
koboshi_forget_code:
        mova    1f, r0
        mov.l   uncached, r1
        add     r1, r0
        mov.l   ccr_2, r1
        mov.l   forget, r2
        jmp     @r0
        nop
        .balign 4
1:      mov.l   r2, @r1
        nop
        nop
        nop
        nop
        nop
        nop
        nop
        nop
        rts
        nop
        .balign 4
uncached: .long 0x20000000
ccr_2:  .long   0xff00001c
forget: .long   0x905                   ! ICI 11, ICE 8, CB 2, OCE 0: as `on`, and the operand cache stays as it is

        .section .bss.koboshi, "aw", @nobits
        .balign 4
        .global koboshi_current
koboshi_current:
        .space  4                       ! the context of who runs
koboshi_kernel:
        .space  12                      ! machine, stack, the module's stack
