/* What user.c asks of kernel.c: `trapa #N`, arguments in r4 to r6, results in r0 to r3. */
#define CALL_WRITE 0   /* a byte */
#define CALL_OFF 1     /* switches the machine off */
#define CALL_TRY 2     /* f, argument, where f returns to: gives the code; and pc, address, EXPEVT of a fault */
#define CALL_TRY_END 3 /* f came back */
#define CALL_SPACE 4   /* pages, maximum: gives a number */
#define CALL_SELECT 5  /* a number */
#define CALL_GROW 6    /* pages: gives the size before */
#define CALL_SIZE 7

#define COUNT_PAGE 0x68000000u /* the page with the timer's registers, read only */
#define STACK_SIZE 0x40000u
#define STACK_GUARD 0x50000000u /* from here to the stack: the guard, large enough for any frame */
