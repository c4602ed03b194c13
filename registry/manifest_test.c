#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "registry/base/alloc.h"
#include "registry/base/error.h"
#include "registry/manifest.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define DA "\"sha256:" HEX_A "\""
#define DB "\"sha256:" HEX_B "\""
#define DC "\"sha256:" HEX_C "\""
#define CONFIG \
	"\"config\":{\"mediaType\":\"" MT_OCI_CONFIG "\",\"digest\":" DA ",\"size\":7}"
#define LAYER "{\"mediaType\":\"" MT_OCI_LAYER_GZIP "\",\"digest\":" DB ",\"size\":9}"

static int parse(struct manifest *m, const char *text, struct error *err)
{
	return manifest_parse(m, text, strlen(text), err);
}

static void a_manifest_is_written_as_the_rules_say(void **state)
{
	/* hod-layers(5), JSON: field by field */
	static const char want[] =
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\"," CONFIG
		",\"layers\":[" LAYER "," LAYER "]"
		",\"annotations\":{\"a\":\"1\",\"a-b\":\"x=y\",\"b\":\"\"}}";
	/* "a-b=" sorts before "a=" as whole text, but "a" before "a-b" as a key */
	static const char given[] =
		" {\"annotations\": {\"b\": null, \"a-b\": \"x=y\", \"a\": \"0\", \"a\": "
		"\"1\"},\n"
		"\"layers\": [" LAYER ", " LAYER "], " CONFIG ", \"schemaVersion\": 2, "
		"\"unknown\": [[]], \"subject\": null} ";
	auto_manifest struct manifest m = MANIFEST_INIT, copy = MANIFEST_INIT;
	auto_buf struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(parse(&m, given, NULL), 0);
	manifest_copy(&copy, &m);
	manifest_write(&copy, &out);
	assert_string_equal(out.data, want);
}

static void a_manifest_without_layers_keeps_the_field(void **state)
{
	auto_manifest struct manifest m = MANIFEST_INIT;
	auto_buf struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(
		parse(&m, "{\"schemaVersion\":2," CONFIG ",\"layers\":null}", NULL), 0);
	manifest_write(&m, &out);
	assert_string_equal(out.data,
			    "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST
			    "\"," CONFIG ",\"layers\":[]}");
}

static void a_docker_manifest_is_of_the_docker_family(void **state)
{
	/* distribution/docs/spec/manifest-v2-2.md, shortened */
	static const char text[] =
		"{\n    \"schemaVersion\": 2,\n"
		"    \"mediaType\": \"" MT_DOCKER_MANIFEST "\",\n"
		"    \"config\": {\"mediaType\": \"" MT_DOCKER_CONFIG "\",\n"
		"        \"digest\": "
		"\"sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f"
		"432a537bc7\",\n        \"size\": 7023\n    },\n"
		"    \"layers\": [\n        {\"mediaType\": \"" MT_DOCKER_LAYER_GZIP
		"\",\n"
		"            \"digest\": "
		"\"sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815"
		"ad7fc331f\",\n            \"size\": 32654\n        }]}";
	auto_manifest struct manifest m = MANIFEST_INIT;
	char hex[DIGEST_TEXT];

	(void)state;
	assert_int_equal(parse(&m, text, NULL), 0);
	assert_int_equal(m.family, FAMILY_DOCKER);
	assert_string_equal(manifest_media_type(&m), MT_DOCKER_MANIFEST);
	assert_int_equal(m.config.size, 7023);
	assert_int_equal(m.nlayers, 1);
	assert_int_equal(m.layers[0].size, 32654);
	assert_string_equal(
		digest_text(&m.layers[0].digest, hex),
		"sha256:"
		"e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f");
}

static void bad_manifests_are_refused(void **state)
{
#define OK_CONFIG "\"mediaType\":\"x\",\"digest\":" DA
	static const struct {
		const char *text;
		enum error_kind kind;
		const char *says;
	} t[] = {
		{"", E_CORRUPT, "malformed"},
		{"[]", E_CORRUPT, "no JSON object"},
		{"{}", E_CORRUPT, "schemaVersion"},
		{"{\"schemaVersion\":1," CONFIG ",\"layers\":[]}", E_INPUT,
		 "schema version 1"},
		{"{\"schemaVersion\":3," CONFIG ",\"layers\":[]}", E_CORRUPT,
		 "version 3"},
		{"{\"schemaVersion\":\"2\"," CONFIG "}", E_CORRUPT, "schemaVersion"},
		{"{\"schemaVersion\":2,\"layers\":[]}", E_CORRUPT, "config"},
		{"{\"schemaVersion\":2,\"config\":[],\"layers\":[]}", E_CORRUPT,
		 "config"},
		{"{\"schemaVersion\":2,\"manifests\":[]}", E_CORRUPT, "index"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":{}}", E_CORRUPT, "layers"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[1]}", E_CORRUPT, "layer 0"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER ",{}]}", E_CORRUPT,
		 "layer 1"},
		{"{\"schemaVersion\":2," CONFIG ",\"annotations\":{\"a\":1}}", E_CORRUPT,
		 "a is no"},
		{"{\"schemaVersion\":2," CONFIG ",\"annotations\":[]}", E_CORRUPT,
		 "annotations"},
		{"{\"schemaVersion\":2,\"mediaType\":7," CONFIG "}", E_CORRUPT,
		 "mediaType"},
		{"{\"schemaVersion\":2,\"config\":{" OK_CONFIG "}}", E_CORRUPT, "size"},
		{"{\"schemaVersion\":2,\"config\":{" OK_CONFIG ",\"size\":-1}}",
		 E_CORRUPT, "size"},
		{"{\"schemaVersion\":2,\"config\":{" OK_CONFIG ",\"size\":1.5}}",
		 E_CORRUPT, "size"},
		{"{\"schemaVersion\":2,\"config\":{" OK_CONFIG ",\"size\":1e300}}",
		 E_CORRUPT, "size"},
		{"{\"schemaVersion\":2,\"config\":{" OK_CONFIG ",\"size\":\"1\"}}",
		 E_CORRUPT, "size"},
		{"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"size\":1,"
		 "\"digest\":"
		 "\"sha256:"
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}",
		 E_CORRUPT, "digest"},
		{"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"size\":1,"
		 "\"digest\":"
		 "\"sha256:aa\"}}",
		 E_CORRUPT, "digest"},
		{"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"size\":1,"
		 "\"digest\":"
		 "\"sha512:" HEX_A HEX_A "\"}}",
		 E_CORRUPT, "digest"},
		{"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"size\":1,"
		 "\"digest\":"
		 "\"sha256:../../../../etc/passwd\"}}",
		 E_CORRUPT, "digest"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[]} x", E_CORRUPT, "after"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct manifest m = MANIFEST_INIT;
		struct error err = ERROR_INIT;

		assert_int_equal(parse(&m, t[i].text, &err), -1);
		assert_int_equal(err.kind, t[i].kind);
		assert_non_null(strstr(err.msg, t[i].says));
		assert_null(m.layers);
		assert_null(m.config.media_type);
	}
}

static void counts_sizes_and_depths_are_bounded(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	struct manifest m = MANIFEST_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	for (int layers = MANIFEST_MAX_LAYERS; layers <= MANIFEST_MAX_LAYERS + 1;
	     layers++) {
		buf_reset(&b);
		buf_adds(&b, "{\"schemaVersion\":2," CONFIG ",\"layers\":[");
		for (int i = 0; i < layers; i++)
			buf_addf(&b, "%s" LAYER, i ? "," : "");
		buf_adds(&b, "]}");
		assert_int_equal(manifest_parse(&m, b.data, b.len, &err),
				 layers > MANIFEST_MAX_LAYERS ? -1 : 0);
		manifest_release(&m);
	}
	assert_non_null(strstr(err.msg, "1001 layers"));

	buf_reset(&b);
	buf_adds(&b, "{\"schemaVersion\":2,\"x\":");
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, '[');
	assert_int_equal(manifest_parse(&m, b.data, b.len, &err), -1);
	assert_non_null(strstr(err.msg, "deep"));

	buf_reset(&b);
	buf_adds(&b, "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}");
	while (b.len <= MANIFEST_MAX_BYTES)
		buf_addc(&b, ' ');
	assert_int_equal(manifest_parse(&m, b.data, b.len, &err), -1);
	assert_non_null(strstr(err.msg, "larger"));
	assert_int_equal(manifest_parse(&m, b.data, MANIFEST_MAX_BYTES, &err), 0);
	manifest_release(&m);
}

static void a_kind_follows_from_type_and_body_which_must_agree(void **state)
{
#define V2 "{\"schemaVersion\":2"
	static const struct {
		const char *type, *text;
		int kind; /* -1: refused */
	} t[] = {
		{MT_OCI_MANIFEST, V2 "," CONFIG ",\"layers\":[]}", MANIFEST_IMAGE},
		{NULL, V2 "," CONFIG ",\"layers\":[]}", MANIFEST_IMAGE},
		{"application/json", V2 ",\"manifests\":[]}", MANIFEST_INDEX},
		{"text/plain",
		 V2 ",\"mediaType\":\"" MT_DOCKER_LIST "\",\"manifests\":[]}",
		 MANIFEST_INDEX},
		{MT_OCI_INDEX, V2 ",\"manifests\":[]}", MANIFEST_INDEX},
		{MT_OCI_INDEX, V2 ",\"mediaType\":\"\",\"manifests\":[]}",
		 MANIFEST_INDEX},
		{MT_OCI_INDEX, V2 ",\"mediaType\":null,\"manifests\":[]}",
		 MANIFEST_INDEX},
		{MT_OCI_INDEX, V2 ",\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[]}",
		 MANIFEST_INDEX},
		{MT_OCI_INDEX,
		 V2 ",\"mediaType\":\"" MT_DOCKER_LIST "\",\"manifests\":[]}", -1},
		{MT_OCI_MANIFEST, V2 ",\"manifests\":[]}", -1},
		{MT_OCI_INDEX, V2 "," CONFIG ",\"layers\":[]}", -1},
		{NULL, V2 ",\"mediaType\":\"" MT_OCI_INDEX "\"," CONFIG ",\"layers\":[]}",
		 -1},
		{NULL, V2 "," CONFIG ",\"layers\":[],\"manifests\":[]}", -1},
		{NULL, V2 "}", -1},
		{NULL, "{\"schemaVersion\":1,\"fsLayers\":[]}", -1},
		{NULL, V2 ",\"mediaType\":{},\"manifests\":[]}", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		enum manifest_kind kind;
		int rc = manifest_kind(t[i].type, t[i].text, strlen(t[i].text), &kind,
				       NULL);

		assert_int_equal(rc, t[i].kind < 0 ? -1 : 0);
		if (!rc)
			assert_int_equal(kind, t[i].kind);
	}
}

#define ENTRY(digest, more) \
	"{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"size\":5,\"digest\":" digest more "}"
#define ON(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define ONV(os, arch, v)                                            \
	",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch \
	"\",\"variant\":\"" v "\"}"
#define ATTESTATION                                                                \
	ENTRY(DC, ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-" \
		  "manifest\","                                                    \
		  "\"vnd.docker.reference.digest\":" DA "}" ON("unknown", "unknown"))

static void an_index_gives_the_image_of_the_platform(void **state)
{
	static const struct {
		const char *want, *entries;
		char chosen; /* the digest's letter, 'n' for a nested one, 0: none */
		const char *says;
	} t[] = {
		{"linux/amd64",
		 ENTRY(DA, ON("linux", "amd64")) "," ENTRY(DB, ON("linux", "arm64")), 'a',
		 NULL},
		{"linux/arm64",
		 ENTRY(DA, ON("linux", "amd64")) "," ENTRY(DB, ON("linux", "arm64")), 'b',
		 NULL},
		{"linux/arm64",
		 ENTRY(DA, ON("linux", "amd64")) "," ENTRY(DB,
							   ONV("linux", "arm64", "v8")),
		 'b', NULL},
		{"linux/amd64",
		 ENTRY(DA, ON("linux", "amd64")) "," ENTRY(DB, ON("linux", "amd64")), 'a',
		 NULL},
		{"linux/amd64",
		 ATTESTATION "," ENTRY(DA, ON("linux", "amd64")) "," ATTESTATION, 'a',
		 NULL},
		{"linux/amd64",
		 ENTRY(DC, ",\"annotations\":{\"vnd.docker.reference.type\":\"x\"}" ON(
				   "linux", "amd64")) "," ENTRY(DB, ON("linux", "amd64")),
		 'b', NULL},
		{"linux/amd64",
		 ENTRY(DC, ",\"annotations\":{\"vnd.docker.reference.type\":\"x\"}"), 0,
		 "nor any other"},
		{"linux/amd64", ATTESTATION, 0, "nor any other"},
		{"linux/amd64", ENTRY(DC, ON("unknown", "unknown")) "," ENTRY(DB, ""),
		 'b', NULL},
		{"linux/amd64", ENTRY(DB, "") "," ENTRY(DA, ON("linux", "amd64")), 'a',
		 NULL},
		{"linux/amd64", ENTRY(DB, ",\"platform\":null"), 'b', NULL},
		{"linux/arm/v7",
		 ENTRY(DA, ONV("linux", "arm", "v5")) "," ENTRY(
			 DB, ONV("linux", "arm", "v6")),
		 'b', NULL},
		{"linux/arm/v7",
		 ENTRY(DA, ONV("linux", "arm", "v6")) "," ENTRY(
			 DB, ONV("linux", "arm", "v7")),
		 'b', NULL},
		{"linux/arm/v6",
		 ENTRY(DA, ONV("linux", "arm", "v7")) "," ENTRY(
			 DB, ONV("linux", "arm", "v5")),
		 'b', NULL},
		{"linux/arm/v6", ENTRY(DA, ONV("linux", "arm", "v7")), 0, "linux/arm/v7"},
		{"linux/amd64", ENTRY(DA, ONV("linux", "amd64", "v3")), 0,
		 "linux/amd64/v3"},
		{"linux/amd64",
		 ENTRY(DA, ON("windows", "amd64")) "," ENTRY(DB, ON("linux", "s390x")), 0,
		 "windows/amd64, linux/s390x"},
		{"linux/amd64", "", 0, "nor any other"},
		{"linux/amd64",
		 "{\"mediaType\":\"application/"
		 "vnd.in-toto+json\",\"size\":1,\"digest\":" DC ON(
			 "linux", "amd64") "}," ENTRY(DA, ON("linux", "amd64")),
		 'a', NULL},
		{"linux/amd64",
		 ENTRY(DC, ",\"artifactType\":\"x/y\"" ON("linux", "amd64")) "," ENTRY(
			 DA, ON("linux", "amd64")),
		 'a', NULL},
		{"linux/amd64",
		 "{\"mediaType\":\"" MT_OCI_INDEX
		 "\",\"size\":1,\"digest\":" DB ON("linux", "amd64") "}",
		 'n', NULL},
		/* a bad entry for somebody else is no concern of ours */
		{"linux/amd64",
		 "{\"mediaType\":\"" MT_OCI_MANIFEST
		 "\",\"size\":1,\"digest\":\"sha512:00\"" ON("linux", "arm64") "}," ENTRY(
			 DA, ON("linux", "amd64")),
		 'a', NULL},
		{"linux/arm64",
		 "{\"mediaType\":\"" MT_OCI_MANIFEST
		 "\",\"size\":1,\"digest\":\"sha512:00\"" ON("linux", "arm64") "}",
		 0, "digest"},
		{"linux/amd64", "7", 0, "no object"},
		{"linux/amd64", ENTRY(DA, ",\"platform\":[]"), 0, "platform"},
		{"linux/amd64", ENTRY(DA, ",\"platform\":{\"os\":1}"), 0, "os"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		auto_platform struct platform want = PLATFORM_INIT;
		auto_descriptor struct descriptor d = {0};
		auto_free char *text = xasprintf(
			"{\"schemaVersion\":2,\"manifests\":[%s]}", t[i].entries);
		struct error err = ERROR_INIT;
		bool nested = false;
		char hex[DIGEST_HEX];
		int rc;

		assert_int_equal(platform_parse(&want, t[i].want, NULL), 0);
		rc = index_pick(text, strlen(text), &want, &d, &nested, &err);
		if (!t[i].chosen) {
			assert_int_equal(rc, -1);
			assert_non_null(strstr(err.msg, t[i].says));
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(nested, t[i].chosen == 'n');
		assert_int_equal(digest_hex(&d.digest, hex)[0],
				 nested ? 'b' : t[i].chosen);
	}
}

static void a_long_index_is_listed_shortened(void **state)
{
	auto_buf struct buf b = BUF_INIT;
	auto_platform struct platform want = PLATFORM_INIT;
	auto_descriptor struct descriptor d = {0};
	struct error err = ERROR_INIT;
	bool nested;

	(void)state;
	buf_adds(&b, "{\"schemaVersion\":2,\"manifests\":[");
	for (int i = 0; i < 20000; i++)
		buf_addf(&b, "%s" ENTRY(DA, ON("linux", "arch%d")), i ? "," : "", i);
	buf_adds(&b, "]}");
	assert_int_equal(platform_parse(&want, "linux/amd64", NULL), 0);
	assert_int_equal(index_pick(b.data, b.len, &want, &d, &nested, &err), -1);
	assert_int_equal(err.kind, E_MISSING);
	assert_non_null(strstr(err.msg, "linux/arch0, linux/arch1, "));
	assert_non_null(strstr(err.msg, ", ..."));
}

static void layer_types_are_known_foreign_or_neither(void **state)
{
	static const struct {
		const char *type;
		bool known, foreign;
	} t[] = {
		{MT_OCI_LAYER, true, false},
		{MT_OCI_LAYER_GZIP, true, false},
		{MT_OCI_LAYER_ZSTD, true, false},
		{MT_DOCKER_LAYER, true, false},
		{MT_DOCKER_LAYER_GZIP, true, false},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", false,
		 true},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", false,
		 true},
		{"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", false, false},
		{"", false, false},
		{NULL, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		assert_int_equal(layer_type_known(t[i].type), t[i].known);
		assert_int_equal(layer_type_foreign(t[i].type), t[i].foreign);
	}
	assert_true(layer_type_known(family_layer_type(FAMILY_OCI)));
	assert_true(layer_type_known(family_layer_type(FAMILY_DOCKER)));
	assert_true(config_type_known(family_config_type(FAMILY_DOCKER)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_is_written_as_the_rules_say),
		cmocka_unit_test(a_manifest_without_layers_keeps_the_field),
		cmocka_unit_test(a_docker_manifest_is_of_the_docker_family),
		cmocka_unit_test(bad_manifests_are_refused),
		cmocka_unit_test(counts_sizes_and_depths_are_bounded),
		cmocka_unit_test(a_kind_follows_from_type_and_body_which_must_agree),
		cmocka_unit_test(an_index_gives_the_image_of_the_platform),
		cmocka_unit_test(a_long_index_is_listed_shortened),
		cmocka_unit_test(layer_types_are_known_foreign_or_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
