! sparc-os: what demo-os is on a PC, on a SPARCstation 5. Two tasks that know nothing of each other print A and B for
! ever on the first serial line; a timer interrupts whichever runs, every 10 ms, and the kernel goes on with the other one:
!
!     !ABABABABABABAB...
!
! How it boots: the file is bare code without a header. QEMU puts it at 0x4000 (`-M SS-5 -kernel`), and the firmware,
! OpenBIOS, maps that address onto itself and jumps there, in supervisor mode with interrupts and traps as it had them.
!   https://www.gaisler.com/doc/sparcv8.pdf (registers, traps), QEMU's hw/sparc/sun4m.c and hw/timer/slavio_timer.c (devices)
!
! Build: as -32 -Av8, then ld -m elf32_sparc -Ttext 0x4000 --oformat binary.
!
! Devices lie where the MMU shows nothing: they are reached past it, by their physical addresses, with the address space
! identifier 0x20. A task uses the registers %o0 to %o5 and the condition codes only; a trap moves the CPU into the next
! window of registers, where those are %i0 to %i5, so the handler can save and change them without a stack.

        .equ    PHYSICAL, 0x20          ! the address space in which the MMU is passed by
        .equ    SERIAL, 0x71100000      ! 8530: channel A has its control at 4 and its data at 6
        .equ    SERIAL_CONTROL, 4
        .equ    SERIAL_DATA, 6
        .equ    CAN_SEND, 4             ! status bit: the transmitter takes another byte
        .equ    TIMER, 0x71d00000       ! this CPU's own timer: its limit is at 0; reading that ends the interrupt
        .equ    SLICE, (20000 + 1) << 9 ! 10 ms: it counts half microseconds, from bit 9 on
        .equ    POWER, 0x6a000000       ! a byte written there stops the CPU until the next interrupt
        .equ    NO_LEVELS_BELOW_14, 0xd00 ! the processor status' bits 8 to 11: interrupts up to this level wait
        .equ    INTERRUPT_LEVELS, 0xf00
        .equ    TRAPS_ON, 0x20
        .equ    WINDOW, 0x1f            ! the number of the present register window
        .equ    TRAPS_BEFORE_INTERRUPT_14, 0x1e

        .text
        .global _start

_start: set     SERIAL, %o4
        mov     '!', %o0
        add     %o4, SERIAL_DATA, %o1
        stba    %o0, [%o1] PHYSICAL

        ! Interrupts wait until the table of traps is ours.
        rd      %psr, %l0
        or      %l0, INTERRUPT_LEVELS, %l0
        wr      %l0, 0, %psr
        nop; nop; nop
        set     traps, %l1
        wr      %l1, 0, %tbr
        wr      %g0, 0, %wim            ! no window is forbidden: there are no calls that would need another
        nop; nop; nop

        set     TIMER, %l2
        set     SLICE, %l3
        sta     %l3, [%l2] PHYSICAL

        andn    %l0, INTERRUPT_LEVELS, %l0
        or      %l0, NO_LEVELS_BELOW_14, %l0
        or      %l0, TRAPS_ON, %l0
        wr      %l0, 0, %psr
        nop; nop; nop

        ! The first task runs from here on, the other one as if the timer had stopped it at its first instruction.
task_a: mov     'A', %o0
        ba      print
         nop
task_b: mov     'B', %o0

        ! Prints %o0 for ever, once a slice. Waiting here is harmless: the timer takes the CPU away from a task that waits.
print:  set     SERIAL, %o1
        add     %o1, SERIAL_CONTROL, %o2
        add     %o1, SERIAL_DATA, %o1
        set     POWER, %o5
1:      lduba   [%o2] PHYSICAL, %o3
        andcc   %o3, CAN_SEND, %g0
        be      1b
         nop
        stba    %o0, [%o1] PHYSICAL
        stba    %g0, [%o5] PHYSICAL
        ba      1b
         nop

        ! The scheduler. %l1 and %l2 are where the stopped task goes on, as the CPU leaves them in a trap.
timer:  rd      %psr, %l0
        set     TIMER, %l3
        lda     [%l3] PHYSICAL, %g0
        set     sleeping, %l3

        .macro  swap register, at
        ld      [%l3 + \at], %l4
        st      \register, [%l3 + \at]
        mov     %l4, \register
        .endm
        swap    %l0, 0
        swap    %l1, 4
        swap    %l2, 8
        swap    %i0, 12
        swap    %i1, 16
        swap    %i2, 20
        swap    %i3, 24
        swap    %i5, 28

        ! Of the other's processor status only the condition codes are its own.
        rd      %psr, %l5
        set     0x00f00000, %l6
        and     %l0, %l6, %l0
        andn    %l5, %l6, %l5
        wr      %l5, %l0, %psr
        nop; nop; nop
        jmp     %l1
         rett   %l2

        ! Whatever else happens is a mistake: it says so and stays there.
stop:   set     SERIAL + SERIAL_DATA, %l3
        mov     '?', %l4
        stba    %l4, [%l3] PHYSICAL
1:      ba      1b
         nop

        ! What a task that does not run is: processor status, where it goes on, its registers.
        .align  8
sleeping:
        .word   0, task_b, task_b + 4
        .word   0, 0, 0, 0, 0

        ! 256 traps of four instructions each. The table's address has 12 zero bits.
        .align  4096
traps:  .rept   TRAPS_BEFORE_INTERRUPT_14
        ba      stop
         nop
        nop
        nop
        .endr
        ba      timer
         nop
        nop
        nop
        .rept   256 - TRAPS_BEFORE_INTERRUPT_14 - 1
        ba      stop
         nop
        nop
        nop
        .endr
