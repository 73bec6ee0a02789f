! What a component cannot say in Rust. Arguments in r4 to r7, results in r0, as C has them; none of it is to come back.
! Instructions that the assembler refuses, or refuses in a delay slot, are written as numbers.

        .macro  does name
        .section .text.\name, "ax"
        .balign 4
        .global \name
\name:
        .endm

        does    koboshi_arms_read8
        mov.b   @r4, r0
        rts
        nop
        does    koboshi_arms_read16
        mov.w   @r4, r0
        rts
        nop
        does    koboshi_arms_read32
        mov.l   @r4, r0
        rts
        nop
        does    koboshi_arms_write8
        mov.b   r5, @r4
        rts
        nop
        does    koboshi_arms_write16
        mov.w   r5, @r4
        rts
        nop
        does    koboshi_arms_write32
        mov.l   r5, @r4
        rts
        nop

        does    koboshi_arms_jump
        jmp     @r4
        nop

        ! (step): pushes onto the machine's stack until something ends it.
        does    koboshi_arms_machine_stack
1:      sub     r4, r15
        bra     1b
        mov.l   r4, @r15

        ! (step): the same with the module's own stack, whose pointer is GBR.
        does    koboshi_arms_module_stack
        stc     gbr, r0
1:      sub     r4, r0
        bra     1b
        mov.l   r4, @r0

        ! (number, r4, r5, r6, r7): `trapa #number` with these.
        does    koboshi_arms_trap
        mova    traps, r0
        shll2   r4
        shll    r4
        add     r4, r0
        mov     r5, r4
        mov     r6, r5
        mov     r7, r6
        jmp     @r0
        mov.l   @r15, r7
        .balign 4
        .set    number, 0
traps:  .rept   256
        trapa   #number
        rts
        nop
        nop
        .set    number, number + 1
        .endr

        ! (number, operand): an instruction of the table, with the operand in r5.
        does    koboshi_arms_instruction
        mova    table, r0
        shll2   r4
        mov.l   @(r0, r4), r0
        jmp     @r0
        nop

        ! The next instruction is the next one of the table.
        .macro  next
        .section .text.koboshi_arms_instruction, "ax"
        .long   1f
        .section .text.koboshi_arms_instructions, "ax"
        .balign 4
1:
        .endm
        .macro  instruction code
        next
        .word   \code
        rts
        nop
        .endm
        .macro  in_slot code
        next
        bra     2f
        .word   \code
2:      rts
        nop
        .endm

        .balign 4
table:
        instruction 0x450e              ! ldc r5, sr
        instruction 0x452e              ! ldc r5, vbr
        instruction 0x453e              ! ldc r5, ssr
        instruction 0x454e              ! ldc r5, spc
        instruction 0x45fa              ! ldc r5, dbr
        instruction 0x45be              ! ldc r5, r3_bank
        instruction 0x4507              ! ldc.l @r5+, sr
        instruction 0x4527              ! ldc.l @r5+, vbr
        instruction 0x0002              ! stc sr, r0
        instruction 0x0022              ! stc vbr, r0
        instruction 0x0032              ! stc ssr, r0
        instruction 0x0042              ! stc spc, r0
        instruction 0x003a              ! stc sgr, r0
        instruction 0x00b2              ! stc r3_bank, r0
        instruction 0x002b              ! rte
        instruction 0x0038              ! ldtlb
        instruction 0x001b              ! sleep
        instruction 0xfffd
        in_slot 0xfffd
        in_slot 0x450e                  ! ldc r5, sr
        in_slot 0x001b                  ! sleep
        in_slot 0xc302                  ! trapa #2
        in_slot 0xa000                  ! bra
        in_slot 0x002b                  ! rte
        instruction 0xf100              ! fadd fr0, fr1
        in_slot 0xf100                  ! fadd fr0, fr1
        instruction 0x456a              ! lds r5, fpscr
        instruction 0x005a              ! sts fpul, r0
        instruction 0xf058              ! fmov.s @r5, fr0

        ! An odd address: a processor that fetches there finds 0xfdff, which is of the FPU.
        next
        mova    3f, r0
        add     #1, r0
        jmp     @r0
        nop
        .balign 4
3:      .word   0xfffd, 0xfffd, 0xfffd

        instruction 0x451b              ! tas.b @r5
        instruction 0x05c3              ! movca.l r0, @r5
        instruction 0x455f              ! mac.w @r5+, @r5+
        instruction 0x25f6              ! mov.l r15, @-r5
        in_slot 0x6052                  ! mov.l @r5, r0
