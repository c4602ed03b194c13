#include <archive.h>
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <isa-l.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>
#include <zstd.h>

#include "builder/cmd.h"
#include "builder/rootfs/layer.h"

/* The digests of layers depend on the processor's architecture and on ISA-L's version
 * (hod-layers(5), PROMISE): both are named. */
static int run_version(struct app *app, int argc, char **argv, struct error *err)
{
	auto_strv struct strv operands = STRV_INIT;
	struct utsname u = {0};
	int rc = command_options(app, &cmd_version, NULL, 0, argc, argv, 0, 0, &operands,
				 err);

	if (rc)
		return rc < 0 ? -1 : 0;
	uname(&u);
	printf("hod " HOD_VERSION "\n");
	printf("  architecture  %s\n", u.machine);
	printf("  compressor    %s\n", layer_compressor(LAYER_LEVEL_DEFAULT));
	printf("  isa-l         %d.%d.%d\n", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
	       ISAL_PATCH_VERSION);
	printf("  zlib          %s\n", zlibVersion());
	printf("  zstd          %s\n", ZSTD_versionString());
	printf("  libarchive    %s\n", archive_version_string() + strlen("libarchive "));
	printf("  openssl       %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
	printf("  curl          %s\n", curl_version_info(CURLVERSION_NOW)->version);
	printf("  cjson         %s\n", cJSON_Version());
	return 0;
}

const struct command cmd_version = {
	"version",
	"[OPTIONS]",
	"Show the version and what layer digests depend on",
	run_version,
};
