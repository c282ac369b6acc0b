; demo-os: the smallest guest that is still an operating system.
;
; It has two tasks that know nothing of each other. One prints A for ever, the other prints B for ever, on the first
; serial port. A timer interrupts whichever runs, every 10 ms, and the kernel goes on with the other one:
;
;     !ABABABABABABAB...        one letter for each 10 ms slice, so 100 letters a second
;
; The '!' is the very first thing the guest does; the time from starting the VM to '!' is what the machine costs, and
; the time to the first B is what a timer, an interrupt and a task switch cost on top.
;
; How it boots: the file is an ELF with a PVH note, which says "start me in 32-bit protected mode, paging off". QEMU
; loads it straight into memory (`-kernel`), on `microvm` and on `q35`. There is no boot loader and no disk.
;   https://xenbits.xen.org/docs/unstable/misc/pvh.html
;
; Build: nasm -f elf32 demo-os.asm, then ld -m elf_i386 -T demo-os.ld. Memory: everything lies just above 1 MiB.

bits 32

COM1            equ 0x3f8       ; first serial port: data register
COM1_STATUS     equ 0x3fd       ; its line status register
CAN_SEND        equ 0x20        ; status bit: the transmitter takes another byte

PIC1            equ 0x20        ; first interrupt controller (8259): command port, data port is the next one
PIC2            equ 0xa0        ; second one, chained to line 2 of the first
END_OF_IRQ      equ 0x20        ; command: this interrupt has been dealt with

PIT_CHANNEL_0   equ 0x40        ; programmable interval timer (8254), wired to line 0
PIT_COMMAND     equ 0x43
PIT_HZ          equ 1193182     ; it counts this fast, whatever the CPU does
SLICES_A_SECOND equ 100         ; so a slice is 10 ms

LAPIC_SPURIOUS  equ 0xfee000f0  ; the CPU's own interrupt controller: enable bit and vector for false alarms
LAPIC_LINT0     equ 0xfee00350  ; and what its first input pin means

FIRST_IRQ       equ 0x20        ; vector of line 0; below it lie the CPU's own exceptions
IRQ_LINES       equ 16
VECTORS         equ FIRST_IRQ + IRQ_LINES

KERNEL_CODE     equ 0x08        ; selectors: places in the table `gdt` below
KERNEL_DATA     equ 0x10
INTERRUPTS_ON   equ 0x202       ; a flags register with interrupts allowed

STACK_BYTES     equ 1024

; ---------------------------------------------------------------------------------------------------------------------
; The note that makes this ELF bootable: owner "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY), value = where to start.

section .note.Xen note alloc noexec nowrite align=4
                dd 4, 4, 18
                db "Xen", 0
                dd start

; ---------------------------------------------------------------------------------------------------------------------

section .text
global start

; Interrupts are off here and no stack exists yet.
start:          cli
                mov     dx, COM1
                mov     al, '!'
                out     dx, al

                mov     esp, stack_a.top
                lgdt    [gdt_pointer]
                jmp     KERNEL_CODE:.segments   ; the only way to load the code segment register
.segments:      mov     ax, KERNEL_DATA
                mov     ds, ax
                mov     es, ax
                mov     ss, ax

                call    fill_vectors
                call    route_interrupts
                call    start_timer
                call    make_task_b
                sti
                jmp     task_a                  ; from here on the first task runs on the stack it already has

; ---------------------------------------------------------------------------------------------------------------------
; The two tasks. Neither ever gives way to the other: it prints and then sleeps until something happens, and what
; happens is the timer.

task_a:         mov     al, 'A'
                call    print
                hlt
                jmp     task_a

task_b:         mov     al, 'B'
                call    print
                hlt
                jmp     task_b

; Sends the byte in al. Waiting here is harmless: the timer takes the CPU away from a task that waits.
print:          mov     ah, al
                mov     dx, COM1_STATUS
.busy:          in      al, dx
                test    al, CAN_SEND
                jz      .busy
                mov     dx, COM1
                mov     al, ah
                out     dx, al
                ret

; ---------------------------------------------------------------------------------------------------------------------
; The scheduler. On an interrupt the CPU has pushed flags, cs and eip on the stack of the task it stopped; `pushad` adds
; the eight registers. A task that does not run is therefore nothing but a stack pointer, kept in `sleeping`.

timer:          pushad
                mov     al, END_OF_IRQ
                out     PIC1, al
                xchg    esp, [sleeping]         ; two tasks, so the next one is always the one that slept
                popad
                iret

; Other lines are masked, but a controller may raise a false alarm on line 7 or 15, which wants no answer.
ignore:         iret

; Makes the stack of task B look as if the timer had just stopped it at its first instruction.
make_task_b:    mov     eax, stack_b.top
                mov     dword [eax - 4], INTERRUPTS_ON
                mov     dword [eax - 8], KERNEL_CODE
                mov     dword [eax - 12], task_b
                sub     eax, 12 + 32            ; what the CPU pushed, and the eight registers of `pushad`
                mov     [sleeping], eax
                ret

; ---------------------------------------------------------------------------------------------------------------------
; Setting up the machine.

; Fills the table of interrupt handlers: `timer` for line 0, `ignore` for all other lines. The CPU's own exceptions get
; none: an error in this program resets the machine, and QEMU's -no-reboot turns that into an exit.
fill_vectors:   mov     edi, vectors + FIRST_IRQ * 8
                mov     ecx, IRQ_LINES
                mov     eax, timer
.next:          mov     [edi], ax               ; handler's address, low half
                mov     word [edi + 2], KERNEL_CODE
                mov     word [edi + 4], 0x8e00  ; present, 32-bit interrupt gate
                shr     eax, 16
                mov     [edi + 6], ax           ; and high half
                mov     eax, ignore
                add     edi, 8
                loop    .next
                lidt    [vectors_pointer]
                ret

; Makes line 0 of the old interrupt controllers reach the CPU as vector FIRST_IRQ.
route_interrupts:
                mov     al, 0x11                ; both: "you will be initialised by three more bytes"
                out     PIC1, al
                out     PIC2, al
                mov     al, FIRST_IRQ           ; 1: vector of their first line. The power-on value collides with exceptions
                out     PIC1 + 1, al
                mov     al, FIRST_IRQ + 8
                out     PIC2 + 1, al
                mov     al, 1 << 2              ; 2: the second one hangs on line 2 ...
                out     PIC1 + 1, al
                mov     al, 2                   ; ... and knows it
                out     PIC2 + 1, al
                mov     al, 1                   ; 3: 8086 mode
                out     PIC1 + 1, al
                out     PIC2 + 1, al
                mov     al, ~1 & 0xff           ; let line 0 through, mask everything else
                out     PIC1 + 1, al
                mov     al, 0xff
                out     PIC2 + 1, al

                ; On a PC the firmware connects the old controllers to the CPU. microvm's firmware (qboot) does not, and
                ; without these two writes no timer interrupt ever arrives. Vector 0x2f is one of `ignore`'s.
                mov     dword [LAPIC_SPURIOUS], 0x100 | (VECTORS - 1)
                mov     dword [LAPIC_LINT0], 0x700      ; ExtINT: "ask the old controllers for the vector"
                ret

start_timer:    mov     al, 0x34                ; channel 0, count given low byte first, repeat for ever
                out     PIT_COMMAND, al
                mov     ax, (PIT_HZ + SLICES_A_SECOND / 2) / SLICES_A_SECOND
                out     PIT_CHANNEL_0, al
                mov     al, ah
                out     PIT_CHANNEL_0, al
                ret

; ---------------------------------------------------------------------------------------------------------------------

section .rodata

; Segments that hide nothing: code and data both cover all 4 GiB.
align 8
gdt:            dq 0
                dq 0x00cf9a000000ffff           ; KERNEL_CODE
                dq 0x00cf92000000ffff           ; KERNEL_DATA
gdt_pointer:    dw gdt_pointer - gdt - 1
                dd gdt

vectors_pointer:
                dw VECTORS * 8 - 1
                dd vectors

section .bss

alignb 8
vectors:        resq VECTORS
sleeping:       resd 1                          ; stack pointer of the task that does not run

alignb 16
stack_a:        resb STACK_BYTES
.top:
stack_b:        resb STACK_BYTES
.top:
