/** Configurations with faults: what the loader says of them, and what the JSON Schema can know of it. */

/** A file and the `--set` arguments, and the whole lines that they are refused with. */
export const refused: ReadonlyArray<readonly [string, string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
  [
    "unknown keys, all of them",
    "[node]\nshardz = 2\nidd = 1\n[nodes]\nx = 1\n",
    [],
    [
      'manifold.toml:4: nodes: found unknown "nodes"; allowed: node, topics, binding, plugin; did you mean "node"?',
      'manifold.toml:2: node.shardz: found unknown "shardz"; allowed: id, data, shards, retained_messages_max, retained_bytes_max, data_bytes_max, tenant_bytes_max, compaction_map_bytes, compaction_rate, compaction_interval; did you mean "shards"?',
      'manifold.toml:3: node.idd: found unknown "idd"; allowed: id, data, shards, retained_messages_max, retained_bytes_max, data_bytes_max, tenant_bytes_max, compaction_map_bytes, compaction_rate, compaction_interval; did you mean "id"?'
    ]
  ],
  [
    "an unknown key that is like none",
    "[topics]\nxyzzyplugh = 1\n",
    [],
    [
      'manifold.toml:2: topics.xyzzyplugh: found unknown "xyzzyplugh"; allowed: auto_create, auto_create_mqtt, partitions, engine, mode, retention_time, retention_bytes, compression, rule'
    ]
  ],
  [
    "wrong kinds and ranges",
    '[node]\nshards = "many"\nid = "a b"\n[topics]\npartitions = -3\nauto_create = "yes"\nauto_create_mqtt = "of"\n',
    [],
    [
      'manifold.toml:3: node.id: found "a b"; allowed: 1 to 64 of A-Z a-z 0-9 . _ -',
      'manifold.toml:2: node.shards: found "many"; allowed: a number',
      'manifold.toml:6: topics.auto_create: found "yes"; allowed: true or false',
      'manifold.toml:7: topics.auto_create_mqtt: found "of"; allowed: memory | default | off; did you mean "off"?',
      "manifold.toml:5: topics.partitions: found -3; allowed: 1 or more"
    ]
  ],
  ["a section that is no table", "node = 5\n", ["node.id=a"], ["manifold.toml:1: node: found 5; allowed: a table"]],
  ["a list for a table", '[[node]]\nid = "a"\n', [], ['manifold.toml:1: node: found [{"id":"a"}]; allowed: a table']],
  [
    "a date for a table",
    "topics = 2024-01-01\n",
    [],
    ['manifold.toml:1: topics: found "2024-01-01"; allowed: a table']
  ],
  [
    "a table for a list",
    '[binding]\ntopic = "a"\nfilter = "b"\n',
    [],
    ['manifold.toml:1: binding: found {"topic":"a","filter":"b"}; allowed: a list: [[binding]]']
  ],
  [
    "an engine and a mode that are not there",
    '[topics]\nengine = "segment"\n[[topics.rule]]\nmatch = "a"\nengine = "memry"\n[[topics.rule]]\nmatch = "b"\nengine = "memory"\nmode = "persistent"\n',
    [],
    [
      'manifold.toml:2: topics.engine: found "segment"; allowed: memory (the engines of this release and of the plugins that are loaded)',
      'manifold.toml:5: topics.rule.0.engine: found "memry"; allowed: memory (the engines of this release and of the plugins that are loaded); did you mean "memory"?',
      'manifold.toml:9: topics.rule.1.mode: found "persistent"; allowed: memory (what engine "memory" promises)'
    ]
  ],
  [
    "a fault beside an engine that is not there",
    '[topics]\npartitions = 0\nengine = "segment"\n',
    [],
    [
      "manifold.toml:2: topics.partitions: found 0; allowed: 1 or more",
      'manifold.toml:3: topics.engine: found "segment"; allowed: memory (the engines of this release and of the plugins that are loaded)'
    ]
  ],
  [
    "bindings",
    '[[binding]]\ntopic = "a/b"\nfilter = "a/#/b"\n[[binding]]\ntopic = "c"\nfilter = "$share/g/c"\n[[binding]]\ntopic = "c"\nfilter = "x/+"\n[[binding]]\ntopic = "d"\nfilter = "x/+"\n[[binding]]\ntopic = "e"\n',
    [],
    [
      "manifold.toml:13: binding.4.filter: found nothing; allowed: filter",
      'manifold.toml:2: binding.0.topic: found "a/b"; allowed: 1 to 249 of A-Z a-z 0-9 . _ -',
      'manifold.toml:3: binding.0.filter: found "a/#/b"; allowed: an MQTT topic filter, + for one level, # at the end',
      'manifold.toml:6: binding.1.filter: found "$share/g/c"; allowed: an MQTT topic filter, + for one level, # at the end',
      'manifold.toml:8: binding.2.topic: found "c"; allowed: each topic once',
      'manifold.toml:12: binding.3.filter: found "x/+"; allowed: no overlap with "x/+", which has the same rank: a name has one home'
    ]
  ],
  [
    "plugins",
    '[[plugin]]\nuse = "protocol-mqqt"\n[[plugin]]\nuse = "protocol-kafka"\n[[plugin]]\nuse = "protocol-kafka"\n[[plugin]]\nuse = "elsewhere"\nenabled = false\n',
    [],
    [
      'manifold.toml:2: plugin.0.use: found unknown "protocol-mqqt"; allowed: storage-memory, meta-raft, protocol-mqtt, protocol-kafka, admin-http, a package in the node_modules beside the manifest, or a path that begins with ./ or /; did you mean "protocol-mqtt"?',
      'manifold.toml:6: plugin.2.use: found "protocol-kafka"; allowed: each plugin once'
    ]
  ],
  [
    "options of plugins",
    '[[plugin]]\nuse = "protocol-kafka"\n[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\ntcp = ["127.0.0.1:0", "nonsense"]\nwebsockets = []\nreceive_maximum = 70000\n',
    ["protocol-kafka.tcp=127.0.0.1:99999"],
    [
      'manifold.toml:7: protocol-mqtt.websockets: found unknown "websockets"; allowed: tcp, websocket, receive_maximum, greeting, password; did you mean "websocket"?',
      'manifold.toml:6: protocol-mqtt.tcp.1: found "nonsense"; allowed: "host:port"',
      "manifold.toml:8: protocol-mqtt.receive_maximum: found 70000; allowed: 65535 or less",
      '--set protocol-kafka.tcp: protocol-kafka.tcp: found "127.0.0.1:99999"; allowed: "host:port"'
    ]
  ],
  [
    "what is set from outside",
    "",
    ["nonsense", "node.shards=0", "nod.id=1", "protocol-mqtt.tcpp=1"],
    [
      '--set: nonsense: found "nonsense"; allowed: section.key=value',
      "--set node.shards: node.shards: found 0; allowed: 1 or more",
      '--set protocol-mqtt.tcpp: protocol-mqtt.tcpp: found unknown "tcpp"; allowed: tcp, websocket, receive_maximum, greeting, password; did you mean "tcp"?',
      '--set nod.id: nod.id: found unknown "nod"; allowed: node, topics, storage-memory, meta-raft, protocol-mqtt, protocol-kafka, admin-http; did you mean "node.id"?'
    ]
  ],
  [
    "what cannot be set from outside",
    "",
    ["topics.rule=a", "binding.topic=a", "plugin.0.use=x", "node.data.x=1"],
    [
      '--set topics.rule: topics.rule: found "a"; allowed: tables in the file: a list of tables cannot be written in one line',
      "--set binding.topic: binding.topic: found a setting of a list of tables; allowed: [[binding]] in the file; from outside: node, topics, and a plugin's options by its name",
      "--set plugin.0.use: plugin.0.use: found a setting of a list of tables; allowed: [[plugin]] in the file; from outside: node, topics, and a plugin's options by its name",
      '--set node.data.x: node.data: found {"x":"1"}; allowed: a text'
    ]
  ],
  [
    "tables within tables without end",
    `[node]\nid${".a".repeat(50_000)} = 1\n`,
    [],
    ["manifold.toml:1: node: found more than 32 tables within tables; allowed: 32 or fewer"]
  ],
  [
    "lists within lists without end",
    `[node]\nid = ${"[".repeat(50_000)}\n`,
    [],
    [
      "manifold.toml:2: column 1006: found document contains excessively nested structures. aborting.; allowed: TOML 1.0"
    ]
  ],
  [
    "a table twice, in lines that end with CR LF, behind a byte order mark",
    '\uFEFF[node]\r\nid = "a"\r\n[node]\r\nshards = 1\r\n',
    [],
    ["manifold.toml:3: column 2: found trying to redefine an already defined table or value; allowed: TOML 1.0"]
  ],
  [
    "a fault behind a byte order mark and CR LF has its line",
    '\uFEFF[node]\r\nid = "a b"\r\n',
    [],
    ['manifold.toml:2: node.id: found "a b"; allowed: 1 to 64 of A-Z a-z 0-9 . _ -']
  ],
  [
    "a whole number that is too large for one",
    "[node]\nshards = 99999999999999999999\n",
    [],
    ["manifold.toml:2: column 10: found integer value cannot be represented losslessly; allowed: TOML 1.0"]
  ],
  [
    "text that is no TOML",
    '[node]\nid = "a"\nshards = = 2\n',
    [],
    ["manifold.toml:3: column 10: found invalid value; allowed: TOML 1.0"]
  ],
  [
    "a key twice",
    '[node]\nid = "a"\nid = "b"\n',
    [],
    ["manifold.toml:3: column 1: found trying to redefine an already defined table or value; allowed: TOML 1.0"]
  ]
]

/** Those of them that no schema can know: they are right key by key, or no TOML. */
export const beyondSchemas: ReadonlyArray<string> = [
  "plugins",
  "what is set from outside",
  "what cannot be set from outside",
  "tables within tables without end",
  "lists within lists without end",
  "a table twice, in lines that end with CR LF, behind a byte order mark",
  "a whole number that is too large for one",
  "text that is no TOML",
  "a key twice"
]
