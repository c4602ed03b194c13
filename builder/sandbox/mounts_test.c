#include "builder/sandbox/sandbox_test.h"

static void only_three_descriptors_are_open(void **state)
{
	(void)state;
	says_everywhere("busybox ls /proc/$$/fd; :", "0\n1\n2\n");
	says_everywhere("busybox cat; busybox readlink /proc/self/fd/0", "/dev/null\n");
}

static void dev_is_minimal_and_of_the_host(void **state)
{
	(void)state;
	says_everywhere("busybox ls /dev | busybox grep -v mqueue",
			"fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\n"
			"tty\nurandom\nzero\n");
	says_everywhere("cd /dev; busybox stat -c '%n %t:%T %F' null zero full random "
			"urandom tty",
			"null 1:3 character special file\n"
			"zero 1:5 character special file\n"
			"full 1:7 character special file\n"
			"random 1:8 character special file\n"
			"urandom 1:9 character special file\n"
			"tty 5:0 character special file\n");
	says_everywhere(
		"echo x >/dev/null; busybox head -c3 /dev/zero | busybox wc -c; "
		"echo x >>/dev/stdout; echo y >/dev/shm/y; busybox cat /dev/shm/y; "
		"busybox stat -c %a /dev/shm",
		"3\nx\ny\n1777\n");
}

static void a_terminal_can_be_made(void **state)
{
	(void)state;
	says_everywhere("exec 3<>/dev/ptmx; busybox ls /dev/pts", "0\nptmx\n");
}

/* Changes that do no harm, should they ever reach the host. */
static void the_hosts_devices_keep_their_mode(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct stat before, after;
		struct place p;

		place_open(&p, m);
		assert_int_equal(stat("/dev/full", &before), 0);
		run(&p, "busybox chmod 0777 /dev/full; busybox touch -d 2001-01-01 "
			"/dev/full");
		assert_int_equal(stat("/dev/full", &after), 0);
		if (after.st_mode != before.st_mode)
			chmod("/dev/full", before.st_mode & 07777);
		assert_int_equal(before.st_mode, after.st_mode);
		assert_int_equal(before.st_mtime, after.st_mtime);
		place_close(&p);
	}
}

static void a_link_in_place_of_proc_sys_or_dev_is_refused(void **state)
{
	static const char *const names[] = {"proc", "sys", "dev"};

	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++)
		for (size_t i = 0; i < 3; i++) {
			struct place p;

			place_open(&p, m);
			shell("cd %s/lower; rmdir %s; ln -s tmp %s", p.dir, names[i],
			      names[i]);
			assert_int_equal(run(&p, "exit 0"), -1);
			assert_int_equal(p.ran->err.kind, E_INPUT);
			assert_non_null(strstr(p.ran->err.msg, names[i]));
			place_close(&p);
		}
}

static void links_in_the_images_dev_are_not_followed(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		shell("cd %s/lower; ln -s /etc/away dev/null; ln -s /etc dev/pts; "
		      "ln -s /etc dev/shm; ln -s /etc/away dev/console",
		      p.dir);
		says(&p,
		     "echo x >/dev/null; busybox stat -c %t:%T /dev/null; "
		     "busybox ls /etc; [ ! -L /dev/shm ] && [ ! -L /dev/console ]",
		     "1:3\nresolv.conf\n");
		place_close(&p);
	}
}

static void files_are_seen_in_place_of_the_images_and_cannot_be_changed(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		p.files[0] = (struct sandbox_file){"etc/resolv.conf", "nameserver\n", 11};
		p.nfiles = 1;
		says(&p,
		     "busybox cat /etc/resolv.conf; (echo >/etc/resolv.conf) 2>/dev/null "
		     "||"
		     " echo kept; busybox rm -f /etc/resolv.conf 2>/dev/null || echo "
		     "kept;"
		     "busybox stat -c %a:%u:%g /etc/resolv.conf",
		     "nameserver\nkept\nkept\n644:0:0\n");
		place_close(&p);
	}
}

static void a_file_over_a_folder_or_outside_is_refused(void **state)
{
	static const char *const paths[] = {"etc", "nothing", "away",
					    "../../../etc/passwd"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct place p;

		place_open(&p, first_mode());
		p.files[0] = (struct sandbox_file){paths[i], "x", 1};
		p.nfiles = 1;
		assert_int_equal(run(&p, "exit 0"), -1);
		assert_int_equal(p.ran->err.kind, E_INPUT);
		place_close(&p);
	}
}

/* What a step leaves is what it changed: nothing of the mounts. */
static void only_changes_are_in_the_upper_folder(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		says(&p,
		     "echo x >/new; : >/dev/x; busybox rm -r /tmp; busybox mkdir /tmp",
		     "");
		shell("cd %s/upper; [ \"$(find . | LC_ALL=C sort | tr '\\n' ' ')\" = "
		      "'. ./new ./tmp ' ]; [ \"$(cat new)\" = x ]; [ -z \"$(ls -A "
		      "../place)\" ]",
		      p.dir);
		place_close(&p);
	}
}

static void without_the_network_there_is_a_loopback_only(void **state)
{
	(void)state;
	for (enum sandbox_mode m = first_mode(); m < SANDBOX_MODES; m++) {
		struct place p;

		place_open(&p, m);
		p.no_network = true;
		/* IFF_UP | IFF_LOOPBACK */
		says(&p, "busybox ls /sys/class/net; busybox cat /sys/class/net/lo/flags",
		     "lo\n0x9\n");
		place_close(&p);
	}
}

static void sys_and_what_reaches_the_host_are_read_only(void **state)
{
	(void)state;
	says_everywhere("(echo x >/sys/kernel/uevent_seqnum) 2>/dev/null || echo no; "
			"busybox touch /sys/kernel 2>/dev/null || echo no",
			"no\nno\n");
	if (!is_root())
		return;
	for (enum sandbox_mode m = SANDBOX_ROOT; m == SANDBOX_ROOT; m++) {
		struct place p;

		place_open(&p, m);
		says(&p,
		     "for f in sys/kernel/hostname sysrq-trigger "
		     "irq/default_smp_affinity; do "
		     "(: >>/proc/$f) 2>/dev/null && echo $f; done; cd /proc; "
		     "for f in kcore keys timer_list latency_stats interrupts; do "
		     "[ -e $f ] && busybox cat $f; done; "
		     "for d in acpi scsi asound /sys/firmware; do [ -e $d ] && busybox "
		     "ls $d; "
		     "done; :",
		     "");
		place_close(&p);
	}
}

static void mounts_namespaces_and_device_nodes_are_refused(void **state)
{
	(void)state;
	says_everywhere("for c in 'mount -t tmpfs x /tmp' 'umount /proc' 'umount /dev' "
			"'unshare -n true' 'unshare -m true' 'unshare -U true' "
			"'mount -o remount,rw /sys' 'hostname x' "
			"'pivot_root / /tmp' 'insmod /bin/sh'; do "
			"busybox $c >/dev/null 2>&1 && echo $c; done; :",
			"");
	/* docker's device cgroup refuses to make them, here they cannot be opened */
	says_everywhere(
		"for d in / /dev/ /dev/shm/ /dev/mqueue/ /tmp/; do cd $d; "
		"for n in 'kmem c 1 2' 'disk b 254 0' 'loop b 7 0' 'full2 c 1 7'; do "
		"busybox mknod $n 2>/dev/null; set -- $n; "
		"[ -e $1 ] && (: <$1) 2>/dev/null && echo opened $d$n; done; done; :",
		"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_three_descriptors_are_open),
		cmocka_unit_test(dev_is_minimal_and_of_the_host),
		cmocka_unit_test(a_terminal_can_be_made),
		cmocka_unit_test(the_hosts_devices_keep_their_mode),
		cmocka_unit_test(a_link_in_place_of_proc_sys_or_dev_is_refused),
		cmocka_unit_test(links_in_the_images_dev_are_not_followed),
		cmocka_unit_test(
			files_are_seen_in_place_of_the_images_and_cannot_be_changed),
		cmocka_unit_test(a_file_over_a_folder_or_outside_is_refused),
		cmocka_unit_test(only_changes_are_in_the_upper_folder),
		cmocka_unit_test(without_the_network_there_is_a_loopback_only),
		cmocka_unit_test(sys_and_what_reaches_the_host_are_read_only),
		cmocka_unit_test(mounts_namespaces_and_device_nodes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
