/*
 * layer_golden.h - layers that must never change, some for each rule
 *
 * The digests come from testdata/slowlayer.py, the second writer of the rules, not
 * from hod.  A change of one is a new format number.
 */
#ifndef HOD_LAYER_GOLDEN_H
#define HOD_LAYER_GOLDEN_H

struct golden {
	const char *rule;
	const char *description; /* testdata/README.md */
	const char *diff_id;
	const char *compressor, *digest; /* of the gzip, as this compressor makes it */
};

static const struct golden golden[] = {
	{"a layer of nothing is two zero blocks",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n",
	 "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
	 "isal 2.30 level 1 x86_64",
	 "94f7d311d077a4bde60da37fc79bd350d47af35ac50bbfee11457b6d822cbf48"},
	{"a small file",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"data\": \"aGVsbG8K\"}\n",
	 "03cf3c0ab0ea8d9921ac1dfa0e5060c8006cd64011db93171059b6cc7b6ea380",
	 "isal 2.30 level 1 x86_64",
	 "c56660f1b5652ee8ac2aa91dec8c9ef80c52c9bd56aced1b9e3ddfd53bdaee9e"},
	{"an empty file",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0}\n",
	 "99bd19e26455741320741c2cd5ad644e23f3cc02a969db9352b7d9f534c978ec",
	 "isal 2.30 level 1 x86_64",
	 "a51ac7eba252adaf14111ec5a23fd80d0f43a7ee68c646e31011ea108a083e90"},
	{"siblings sort by their names without the slash",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \"a\", \"mode\": 493, \"uid\": 0, \"gid"
	 "\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"a/z\", \"mode\": 420, \"uid\": 0, \"g"
	 "id\": 0, \"data\": \"MQ==\"}\n"
	 "{\"type\": \"file\", \"path\": \"a-b\", \"mode\": 420, \"uid\": 0, \"g"
	 "id\": 0, \"data\": \"Mg==\"}\n"
	 "{\"type\": \"dir\", \"path\": \"a.d\", \"mode\": 493, \"uid\": 0, \"gi"
	 "d\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"a0\", \"mode\": 420, \"uid\": 0, \"gi"
	 "d\": 0, \"data\": \"Mw==\"}\n",
	 "c97a31e8df5027b3d7d054515239c1e68de407566f1b60d16152ebd6a396ebc4",
	 "isal 2.30 level 1 x86_64",
	 "691162c75d7438199539968eb7a88d30fcfd2168258a3a713bb48210e0ea01e2"},
	{"the root comes first as ./",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \".\", \"mode\": 448, \"uid\": 0, \"gid"
	 "\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0}\n",
	 "1e449c5f255551d3e8812ce2bacb59f85268f6e96368f8d145482c92bdee8f46",
	 "isal 2.30 level 1 x86_64",
	 "39d2490dcd6378bc73aec91059ea71db6dfa8d03d70b4771e8c03923e5e831f0"},
	{"a symlink is 0777",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"symlink\", \"path\": \"l\", \"link\": \"../x/y\", \"mode"
	 "\": 420, \"uid\": 1, \"gid\": 2}\n",
	 "ea87851998cef98f3fd6b2625e7ddbe922e941364406fc8fd6e1d5fe04300c16",
	 "isal 2.30 level 1 x86_64",
	 "6e8b29731a0f269696fa1d50dd9f9cce1f570d92b017515cba7de85780791ffc"},
	{"the first name of an inode holds the data",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 384, \"uid\": 5, \"gid"
	 "\": 0, \"data\": \"c2FtZQ==\", \"hard\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 384, \"uid\": 5, \"gid"
	 "\": 0, \"data\": \"c2FtZQ==\", \"hard\": 1}\n",
	 "75eec443e99d333e172572972232d9765a3e5c24a95f0e8b3b3e66654bb5c7bc",
	 "isal 2.30 level 1 x86_64",
	 "5be59c4a8d7c25c8379b3eeced4f5f38d66d44e7dd8be516039b57b18be58293"},
	{"a removed path is .wh.NAME",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \"d\", \"mode\": 493, \"uid\": 0, \"gid"
	 "\": 0}\n"
	 "{\"type\": \"whiteout\", \"path\": \"d/gone\"}\n",
	 "f795f76d6f645c28f2cea247a9401ac0517e3f52b870d6b5d6188925765d9d86",
	 "isal 2.30 level 1 x86_64",
	 "c178233764e5f24c02bcfd512a4d3939db9d0696bb6bd6ce25a5db029edc90a8"},
	{"devices and a fifo",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"char\", \"path\": \"c\", \"mode\": 438, \"major\": 1, \"m"
	 "inor\": 3}\n"
	 "{\"type\": \"block\", \"path\": \"b\", \"mode\": 432, \"major\": 7, \""
	 "minor\": 255}\n"
	 "{\"type\": \"fifo\", \"path\": \"p\", \"mode\": 384}\n",
	 "bfd0cfe4bf21d0e6400acc92ef91bc4f7045d4b768a4d0381ec5649f866a31cf",
	 "isal 2.30 level 1 x86_64",
	 "f93aff1bad45e42736583b130fda43e05116ba6a8d92f3f2163cd2aaf578d2c2"},
	{"a name of 100 bytes stays whole",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\", \"m"
	 "ode\": 420, \"uid\": 0, \"gid\": 0}\n",
	 "6a6d23a18ff5d9b2f7f960fd2c695105d30cf7a487339e4dc90261ff31d7320c",
	 "isal 2.30 level 1 x86_64",
	 "ec97f6c57f778b05d39d88dc970cb8a31a396f3cb8ac47c98d8c70412a200c5b"},
	{"a name of 101 bytes splits",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnn\", \"mode\": 493, \"uid\": 0, \"gid\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnn/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\", \""
	 "mode\": 420, \"uid\": 0, \"gid\": 0}\n",
	 "3b5be06fbd22849a77b2c34d692e48fb4ef83000c81f85f59c99e073b2abab21",
	 "isal 2.30 level 1 x86_64",
	 "8a0d87fec745f17dc800689ec00f3d827c8b6eb4b8e83785c507090b2157d53e"},
	{"a folder's slash counts",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \"p\", \"mode\": 493, \"uid\": 0, \"gid"
	 "\": 0}\n"
	 "{\"type\": \"dir\", \"path\": \"p/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\", \"mo"
	 "de\": 493, \"uid\": 0, \"gid\": 0}\n",
	 "e3b911ee2761fad39d77552e8bfdb1c470016102c6ad909f1f244c58e66e703f",
	 "isal 2.30 level 1 x86_64",
	 "69446726897a0270a8b07b732601f5698b03c23890c9e454faa2486694e4cd50"},
	{"a name of 101 bytes without a slash is pax",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\", \""
	 "mode\": 420, \"uid\": 0, \"gid\": 0}\n",
	 "2f80e3c02249a5f32f19eb3e5dc5d1783c441d94778b506503eba930888771a7",
	 "isal 2.30 level 1 x86_64",
	 "8487a21da3d279cf371e4e6fdceaf7d3969e0196642dd4776572409b98d3c20b"},
	{"a prefix of 155 bytes splits",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \"pppppppppppppppppppppppppppppppppppppp"
	 "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
	 "ppppppppppppppppppppppppppppppppppppppppppppppp\", \"mode\": 493, \"ui"
	 "d\": 0, \"gid\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"ppppppppppppppppppppppppppppppppppppp"
	 "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
	 "pppppppppppppppppppppppppppppppppppppppppppppppp/nnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnn\", \"mode\": 420, \"uid\": 0, \"gid\": 0}\n",
	 "86a45d70407d5337435ef18d5d19b6b0e2a10d5c37fe786eed5e7465e96c8bf6",
	 "isal 2.30 level 1 x86_64",
	 "e7fa350d70fd5488b1e0f915e264f3f89ba6083877452229dec88c16000ed3b8"},
	{"a prefix of 156 bytes is pax",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"dir\", \"path\": \"pppppppppppppppppppppppppppppppppppppp"
	 "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
	 "pppppppppppppppppppppppppppppppppppppppppppppppp\", \"mode\": 493, \"u"
	 "id\": 0, \"gid\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"ppppppppppppppppppppppppppppppppppppp"
	 "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
	 "ppppppppppppppppppppppppppppppppppppppppppppppppp/n\", \"mode\": 420, "
	 "\"uid\": 0, \"gid\": 0}\n",
	 "41b9f6aa319718f7615d89f48d774921cedab8d3998653cd1fa34a2384ed5ec8",
	 "isal 2.30 level 1 x86_64",
	 "5ce5f1a3f3134231582d4d1870a5c30759581c59ede7c7b24d53651a03353897"},
	{"a long link is pax",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"symlink\", \"path\": \"l\", \"link\": \"ttttttttttttttttt"
	 "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"
	 "tttttttttttttt\", \"mode\": 511}\n",
	 "4a4b0ae6995f792a12b5171c4fa5a90fc8e2be692b635254ddd17fbf3a8aad83",
	 "isal 2.30 level 1 x86_64",
	 "635e2d10107f6c85c75dd30a2e9fda55b6d9158633a366c6bb56eafa78d9e0da"},
	{"large owners are pax",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 2097151,"
	 " \"gid\": 2097152}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 420, \"uid\": 42949672"
	 "94, \"gid\": 0}\n",
	 "43f16cfc452130dd71a1326d75a9833dd893e474bb8846f3745a4c76609c05fb",
	 "isal 2.30 level 1 x86_64",
	 "e655d343d570b771440374bd6cd159ac3107bcf7a5ca05c982129243078776e0"},
	{"times outside of octal are pax",
	 "{\"type\": \"layer\", \"time\": -1, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0}\n",
	 "c4ae39a503248b172dac5463a48ef95b0fadd26f176034078cb681c29a46ca8c",
	 "isal 2.30 level 1 x86_64",
	 "f3e519bdb40016d8287b6c2b3181c8dc10a50b54d8b34951462d864b9c619b8e"},
	{"xattrs sort bytewise and hold any bytes",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"xattrs\": {\"user.b\": \"AAo9\", \"user.B\": \"\", \"security"
	 ".capability\": \"AAECAwQFBgcICQoLDA0ODxAREhM=\"}}\n",
	 "15d58ae9231ce196ac5df88b17ef10e712a086319129d2d1b2ba96ef533e6b35",
	 "isal 2.30 level 1 x86_64",
	 "b994a241f4c72eaff7b3366abcb95fde577dfe6ef0f011f05cd589a8391f77a8"},
	{"a name that is no UTF-8",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path_b64\": \"//4=\", \"mode\": 420, \"uid\": 0"
	 ", \"gid\": 0}\n",
	 "a383d136b2e0cf60f54af6d6e86d23873ea14b91bc0406a4cfc41c21528871d1",
	 "isal 2.30 level 1 x86_64",
	 "0164a8b0f8c40d5a093cbacb6d48c615c98f825a0626dfc598ad4dded9e227bf"},
	{"a path whose hash says so begins a piece",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 3000, \"seed\": 1, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"cut65\", \"mode\": 420, \"uid\": 0, "
	 "\"gid\": 0, \"size\": 3000, \"seed\": 2, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"d\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 3000, \"seed\": 3, \"text\": true}\n",
	 "0c1a2641ba1ad69db9931a7ee1a9425206804a60d5fab156a0d3f0305ea08e3f",
	 "isal 2.30 level 1 x86_64",
	 "7dedaab6ad61b860431a52d7ec8d1a6b8be16cd8d83a29ec61a0c1ba310175ed"},
	{"a small file ends a piece of 1 MiB",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 600000, \"seed\": 1, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 600000, \"seed\": 2, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"c\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 600000, \"seed\": 3, \"text\": true}\n",
	 "74755704195821f1b8bb270ab616d791a0718153c7fd0bfd733048b6db1daf5d",
	 "isal 2.30 level 1 x86_64",
	 "96a445b7dd3217ecd169e5476e59ee984cf399417bfe679ef2e82a5a1a04e4c3"},
	{"1 MiB less one is small",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 1048575, \"seed\": 1, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 10, \"seed\": 2}\n",
	 "f9c6efb185aeeffcec56450e9d27c7adc036af36832c9df88132ca9e7eecc263",
	 "isal 2.30 level 1 x86_64",
	 "39c6137c95c6842c967f36242bdccc95d32e44d7a5d1636a813a42a94d978d59"},
	{"1 MiB is large",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 1048576, \"seed\": 1, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 10, \"seed\": 2}\n",
	 "d77bfdfdfdeeff36249487262bcf7a9ce09f08fde0f43407400ece3aca869af7",
	 "isal 2.30 level 1 x86_64",
	 "8e1f31f0f0d453f0e512132d0d442a5e877c32de34f17ddd5b93d60f3d829a69"},
	{"1 MiB and one byte has two pieces of data",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 1048577, \"seed\": 1, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 10, \"seed\": 2}\n",
	 "a5ca7514eac4d6cec6d935fc6e3ab236fd338d91b633fc4a46ea02da9aa85e0e",
	 "isal 2.30 level 1 x86_64",
	 "930e99c772e08a7ad2115cce824ea53111b3d640a8f3428ca57b3fe839124a81"},
	{"random data",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 1}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 3145733, \"seed\": 4}\n",
	 "c89284b36ba600901d2b0c72e12f7c17686332742ed8096cad79bb534cac8651",
	 "isal 2.30 level 1 x86_64",
	 "dd3a29cbad66100ecad4e191f4bfbfc13421d7662f9aaba2687538ac1ad02752"},
	{"level 0",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 0}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 2097152, \"seed\": 1, \"text\": true}\n",
	 "4b2bc6b05c6924a08e22824e8d4f9f336483bf2300ad51318ccd2ae0ea6a4c15",
	 "isal 2.30 level 0 x86_64",
	 "6ac12a0b879fb332624334eb7711058b919e95eb52f958d6f7eb36104dec70f1"},
	{"level 2",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 2}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 2097152, \"seed\": 1, \"text\": true}\n",
	 "4b2bc6b05c6924a08e22824e8d4f9f336483bf2300ad51318ccd2ae0ea6a4c15",
	 "isal 2.30 level 2 x86_64",
	 "62583ebfbcc85884037690130ab53588943dec5d8ce8da2be818eb43be3e3e28"},
	{"level 6",
	 "{\"type\": \"layer\", \"time\": 315532800, \"level\": 6}\n"
	 "{\"type\": \"file\", \"path\": \"a\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 2097152, \"seed\": 1, \"text\": true}\n"
	 "{\"type\": \"file\", \"path\": \"b\", \"mode\": 420, \"uid\": 0, \"gid"
	 "\": 0, \"size\": 100000, \"seed\": 5}\n",
	 "5d16f5a4512afffebddf8b106b93411b75fe0e66229b41d5a40da5e793788fe8",
	 "zlib 1.2.13 level 6",
	 "a097a52943d75d1281db9113e893543d67cf8658a916b0af0bee51679566c63f"},
};

#endif
