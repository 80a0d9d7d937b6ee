/*
 * The pause process of a sandbox: waits for SIGINT or SIGTERM and reaps what is orphaned, as process 1 of a shared
 * process namespace must. It does what Kubernetes' build/pause/linux/pause.c does, without a C library: a few pages of
 * memory instead of a few dozen.
 *
 * Signals are blocked and fetched one by one, so there are no handlers: the kernel queues a blocked signal even for
 * process 1 of a namespace, whose unhandled signals it would otherwise drop.
 *
 * Build, from the directory above (compiler version in pause.go; the output is the same byte for byte):
 *
 *   gcc -Os -static -nostdlib -nostartfiles -ffreestanding -fno-pie -no-pie -fno-stack-protector
 *       -fno-asynchronous-unwind-tables -fno-ident -fcf-protection=none -Wl,--build-id=none -Wl,-z,noexecstack
 *       -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-s -o pause/pause_linux_amd64 pause/pause.c
 *
 *   aarch64-linux-gnu-gcc, with the same flags but -fcf-protection, for pause/pause_linux_arm64
 */

#if defined(__x86_64__)

enum { SYS_rt_sigprocmask = 14, SYS_exit_group = 231, SYS_wait4 = 61, SYS_rt_sigtimedwait = 128 };

static long call(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

enum { SYS_rt_sigprocmask = 135, SYS_exit_group = 94, SYS_wait4 = 260, SYS_rt_sigtimedwait = 137 };

static long call(long n, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

#else
#error "pause: unknown architecture"
#endif

enum { SIGINT = 2, SIGTERM = 15, SIGCHLD = 17, SIG_SETMASK = 2, WNOHANG = 1 };

__attribute__((noreturn, used)) static void pause_main(void)
{
	/* The kernel's signal set: 64 bits, signal n is bit n-1. */
	unsigned long set = 1UL << (SIGINT - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);

	call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&set, 0, sizeof set);
	for (;;) {
		/* First reap: a child may have ended before its signal was blocked. */
		while (call(SYS_wait4, -1, 0, WNOHANG, 0) > 0)
			;
		long sig = call(SYS_rt_sigtimedwait, (long)&set, 0, 0, sizeof set);
		if (sig == SIGINT || sig == SIGTERM)
			for (;;)
				call(SYS_exit_group, 0, 0, 0, 0);
	}
}

/* The kernel enters with an aligned stack; a call keeps the alignment that the compiler expects. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txorl %ebp, %ebp\n\tcall pause_main\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tbl pause_main\n");
#endif
