/* The kernels of `src/lib.rs` in C: the same steps on the same data. */
#include <stdint.h>

#define WORDS 1024

static inline uint32_t left(uint32_t x, unsigned n) { return x << n | x >> (32 - n); }
static inline uint32_t right(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

uint32_t c_crc32(uint32_t *buffer) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = ~0u;
    for (int i = 0; i < WORDS; i++) {
        for (int j = 0; j < 4; j++) {
            crc ^= buffer[i] >> (8 * j) & 0xff;
            crc = table[crc & 15] ^ crc >> 4;
            crc = table[crc & 15] ^ crc >> 4;
        }
    }
    return ~crc;
}

uint32_t c_sha256(uint32_t *buffer) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
        0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
        0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
        0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    };
    uint32_t h[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    uint32_t w[64];
    for (int block = 0; block < WORDS; block += 16) {
        for (int i = 0; i < 16; i++) w[i] = buffer[block + i];
        for (int i = 16; i < 64; i++) {
            uint32_t s0 = right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t s1 = right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], l = h[7];
        for (int i = 0; i < 64; i++) {
            uint32_t s1 = right(e, 6) ^ right(e, 11) ^ right(e, 25);
            uint32_t t1 = l + s1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
            uint32_t s0 = right(a, 2) ^ right(a, 13) ^ right(a, 22);
            uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            l = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += l;
    }
    uint32_t sum = 0;
    for (int i = 0; i < 8; i++) sum ^= h[i];
    return sum;
}

static void c_heap_sort_sift(uint32_t *heap, uint32_t length, uint32_t at) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= length) return;
        if (child + 1 < length && heap[child] < heap[child + 1]) child++;
        if (heap[at] >= heap[child]) return;
        uint32_t word = heap[at];
        heap[at] = heap[child];
        heap[child] = word;
        at = child;
    }
}

uint32_t c_heap_sort(uint32_t *buffer) {
    for (uint32_t at = WORDS / 2; at-- > 0;) c_heap_sort_sift(buffer, WORDS, at);
    for (uint32_t end = WORDS - 1; end >= 1; end--) {
        uint32_t word = buffer[0];
        buffer[0] = buffer[end];
        buffer[end] = word;
        c_heap_sort_sift(buffer, end, 0);
    }
    uint32_t sum = 0;
    for (uint32_t i = 0; i < WORDS; i++) sum = left(sum, 1) ^ buffer[i] ^ i;
    return sum;
}

uint32_t c_insertion_sort(uint32_t *buffer) {
    for (int from = 0; from < WORDS; from += 32) {
        uint32_t *piece = buffer + from;
        for (int i = 1; i < 32; i++) {
            uint32_t word = piece[i];
            int at = i;
            while (at > 0 && piece[at - 1] > word) {
                piece[at] = piece[at - 1];
                at--;
            }
            piece[at] = word;
        }
    }
    uint32_t sum = 0;
    for (int i = 0; i < WORDS; i++) sum = left(sum, 1) ^ buffer[i];
    return sum;
}

uint32_t c_varint(uint32_t *buffer) {
    uint8_t bytes[5];
    uint32_t sum = 0;
    for (int i = 0; i < WORDS; i++) {
        uint32_t rest = buffer[i] >> (buffer[i] & 31);
        uint32_t length = 0;
        for (;;) {
            uint8_t byte = rest & 0x7f;
            rest >>= 7;
            if (rest == 0) {
                bytes[length++] = byte;
                break;
            }
            bytes[length++] = byte | 0x80;
        }
        uint32_t back = 0;
        for (uint32_t at = 0; at < length; at++) back |= (uint32_t)(bytes[at] & 0x7f) << (7 * at);
        sum = left(sum, 3) ^ back ^ length;
    }
    return sum;
}

uint32_t c_cobs(uint32_t *buffer) {
    uint8_t plain[250], coded[256] = { 0 };
    for (int i = 0; i < 250; i++) plain[i] = (buffer[i] & 7) == 0 ? 0 : (uint8_t)buffer[i];
    uint32_t code_at = 0, to = 1;
    uint8_t code = 1;
    for (int i = 0; i < 250; i++) {
        if (plain[i] == 0) {
            coded[code_at] = code;
            code_at = to++;
            code = 1;
        } else {
            coded[to++] = plain[i];
            code++;
        }
    }
    coded[code_at] = code;
    uint32_t sum = 0, at = 0;
    while (at < to) {
        uint32_t code = coded[at];
        for (uint32_t i = 1; i < code; i++) sum = left(sum, 5) ^ coded[at + i];
        at += code;
        if (at < to) sum = left(sum, 5);
    }
    return sum;
}

uint32_t c_wide(uint32_t *buffer) {
    uint64_t hash = 0xcbf29ce484222325;
    for (int i = 0; i < WORDS; i++) {
        uint32_t word = buffer[i];
        hash ^= word;
        hash *= 0x00000100000001b3;
        hash = (hash << 23 | hash >> 41) + ((uint64_t)word << (word & 31));
        if ((word & 15) == 0) hash ^= hash % ((uint64_t)word | 1);
    }
    return (uint32_t)(hash ^ hash >> 32);
}

uint32_t c_decimal(uint32_t *buffer) {
    uint32_t sum = 0;
    for (int i = 0; i < WORDS; i++) {
        uint8_t text[10];
        int at = 10;
        uint32_t rest = buffer[i];
        do {
            text[--at] = '0' + rest % 10;
            rest /= 10;
        } while (rest != 0);
        for (; at < 10; at++) sum = sum * 31 + text[at];
    }
    return sum;
}

uint32_t c_matrix(uint32_t *buffer) {
    uint32_t *a = buffer, *b = buffer + 256;
    uint32_t sum = 0;
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 16; j++) {
            uint32_t cell = 0;
            for (int k = 0; k < 16; k++) cell += a[16 * i + k] * b[16 * k + j];
            sum = left(sum, 1) ^ cell;
        }
    }
    return sum;
}

uint32_t c_filter(uint32_t *buffer) {
    float taps[16], samples[256];
    for (int i = 0; i < 16; i++) taps[i] = ((float)i + 1.0f) / 16.0f;
    for (int i = 0; i < 256; i++) samples[i] = (float)(int32_t)(buffer[i] >> 16) - 32768.0f;
    uint32_t sum = 0;
    for (int i = 0; i <= 240; i++) {
        float value = 0;
        for (int j = 0; j < 16; j++) value += samples[i + j] * taps[j];
        sum = left(sum, 1) ^ (uint32_t)(int32_t)value;
    }
    return sum;
}

static uint32_t c_machine_idle(uint32_t word, uint32_t *sum) {
    *sum ^= word;
    return (word & 1) == 0 ? 1 : 0;
}
static uint32_t c_machine_header(uint32_t word, uint32_t *sum) {
    *sum += word;
    return (word & 2) == 0 ? 2 : 3;
}
static uint32_t c_machine_body(uint32_t word, uint32_t *sum) {
    *sum = left(*sum, 7) ^ word;
    return (word & 12) == 0 ? 3 : 2;
}
static uint32_t c_machine_end(uint32_t word, uint32_t *sum) {
    *sum -= word;
    return 0;
}

uint32_t c_machine(uint32_t *buffer) {
    static uint32_t (*const states[4])(uint32_t, uint32_t *) = {
        c_machine_idle, c_machine_header, c_machine_body, c_machine_end,
    };
    uint32_t state = 0, sum = 0;
    for (int i = 0; i < WORDS; i++) state = states[state & 3](buffer[i], &sum);
    return sum;
}

struct step { uint32_t state, sum; };
static struct step c_pairs_idle(uint32_t word, uint32_t sum) {
    return (struct step){ (word & 1) == 0 ? 1 : 0, sum ^ word };
}
static struct step c_pairs_header(uint32_t word, uint32_t sum) {
    return (struct step){ (word & 2) == 0 ? 2 : 3, sum + word };
}
static struct step c_pairs_body(uint32_t word, uint32_t sum) {
    return (struct step){ (word & 12) == 0 ? 3 : 2, left(sum, 7) ^ word };
}
static struct step c_pairs_end(uint32_t word, uint32_t sum) { return (struct step){ 0, sum - word }; }

uint32_t c_pairs(uint32_t *buffer) {
    static struct step (*const states[4])(uint32_t, uint32_t) = {
        c_pairs_idle, c_pairs_header, c_pairs_body, c_pairs_end,
    };
    struct step now = { 0, 0 };
    for (int i = 0; i < WORDS; i++) now = states[now.state & 3](buffer[i], now.sum);
    return now.sum;
}

static uint32_t c_recursion_depth(uint32_t *buffer, uint32_t at, uint32_t rest) {
    if (rest == 0) return buffer[at % WORDS];
    return c_recursion_depth(buffer, at * 5 + 1, rest - 1) + c_recursion_depth(buffer, at * 3 + 7, rest - 1);
}

uint32_t c_recursion(uint32_t *buffer) { return c_recursion_depth(buffer, 1, 10); }

uint32_t c_ring(uint32_t *buffer) {
    enum { SLOTS = 16 };
    uint32_t slots[SLOTS][8] = { 0 };
    uint32_t head = 0, tail = 0, sum = 0;
    for (int from = 0; from < WORDS; from += 8) {
        for (int i = 0; i < 8; i++) slots[head % SLOTS][i] = buffer[from + i];
        head++;
        if (head - tail > SLOTS / 2) {
            uint32_t out[8];
            for (int i = 0; i < 8; i++) out[i] = slots[tail % SLOTS][i];
            tail++;
            for (int i = 0; i < 8; i++) sum = left(sum + out[i], 1);
        }
    }
    return sum;
}

uint32_t c_bytes(uint32_t *buffer) {
    uint8_t one[512], two[512];
    for (int i = 0; i < 512; i++) one[i] = (uint8_t)(buffer[i] >> 24);
    for (int i = 0; i < 512; i++) two[i] = one[511 - i];
    uint32_t same = 0;
    for (int i = 0; i < 512; i++) same += one[i] == two[i];
    uint32_t sum = same;
    for (int i = 0; i < 512; i++) sum = left(sum, 3) + two[i];
    return sum;
}
