/* The traps of translated WebAssembly: `trapa #N`. The kernel of a board uses the numbers below 0x40 itself. */
#define TRAP_UNREACHABLE 0x40       /* an `unreachable`: in Rust, what comes behind a panic */
#define TRAP_DIVIDE_BY_ZERO 0x41    /* integer division or remainder by zero */
#define TRAP_INTEGER_OVERFLOW 0x42  /* the least integer divided by -1; a float beyond the integer's range */
#define TRAP_BAD_CONVERSION 0x43    /* a NaN as an integer */
#define TRAP_UNDEFINED_ELEMENT 0x44 /* an indirect call beyond the table */
#define TRAP_NULL_ELEMENT 0x45      /* an indirect call of an empty place of the table */
#define TRAP_SIGNATURE 0x46         /* an indirect call of a function of another type */
#define TRAP_MEMORY 0x47            /* an address and its offset wrap around, or bulk memory ends beyond the memory */
