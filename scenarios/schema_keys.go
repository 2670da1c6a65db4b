package scenarios

// property is what a schema says of a key beyond its type.
type property struct {
	what        string
	least, most float64 // of a number; most 0 means none
	pattern     string  // of a text
}

// properties explains every key of the format, by path. A test sees that none is missing.
var properties = map[string]property{
	"name":    {what: "Lower-case letters, digits and hyphens.", pattern: `^[a-z0-9-]+$`},
	"title":   {what: "One line: what is wrong, for who may know."},
	"symptom": {what: "What the customer says."},

	"symptom-class": {what: "Shared by scenarios that look the same to the client and in the f5's RST cause, and have no answer in common.", pattern: `^[a-z0-9-]*$`},

	"lab":        {what: "The network."},
	"lab.base":   {what: "The only one so far is standard: client, f5, firewall, switch, server1 and server2.", pattern: `^standard$`},
	"lab.family": {what: "The IP version. Default: ipv4."},

	"traffic":                         {what: "The batch that the client sends."},
	"traffic.requests":                {what: "Requests to send. Default: 20000.", least: 1, most: 10_000_000},
	"traffic.concurrency":             {what: "Requests in flight. Default: 256.", least: 1, most: 8192},
	"traffic.timeout":                 {what: "How long the client waits for a response: 100ms to 10m. Default: 2m."},
	"traffic.answer-after":            {what: "How long the servers work on each request, such as 4s. Default: no time at all."},
	"traffic.protocol":                {what: "What the client speaks; the virtual server needs the profiles for it. Default: http."},
	"traffic.requests-per-connection": {what: "Requests that share a connection: one after the other with https, at once with h2. Default: 1, with h2 8.", least: 1, most: 1000},
	"traffic.large-requests":          {what: "Which part of the requests has a body of 4 kB, too large for one packet: 0 to 1. Default: none.", least: 0, most: 1},
	"traffic.key-log":                 {what: "Whether the TLS secrets of the client lie beside the captures. Default: true where there are any."},

	"f5":                                              {what: "The full proxy, in BIG-IP's words. Left out, it is the incident's."},
	"f5.virtual-server":                               {what: "What the client connects to."},
	"f5.virtual-server.type":                          {what: "standard accepts the client before it asks a member; fastl4 forwards packets; reject answers with RST. Default: standard."},
	"f5.virtual-server.state":                         {what: "Default: enabled."},
	"f5.virtual-server.profiles":                      {what: "Of a standard virtual server. Default: tcp and http. tcp alone asks a member at once."},
	"f5.virtual-server.connection-limit":              {what: "Connections at a time; 0 means any number."},
	"f5.virtual-server.source-port":                   {what: "change, or preserve the client's port where it is free. Default: change."},
	"f5.virtual-server.service-down-immediate-action": {what: "reset refuses the SYN while no member is up. Default: none."},
	"f5.pool":                          {what: "The servers behind the virtual server."},
	"f5.pool.load-balancing-mode":      {what: "Default: round-robin."},
	"f5.pool.monitor":                  {what: "Tests the members; one that does not answer gets no connections. Default: none."},
	"f5.pool.monitor.type":             {what: "tcp connects and closes; tcp-half-open sends a SYN, and a RST for the answer; http asks and reads."},
	"f5.pool.monitor.interval":         {what: "Between two tests: 25ms to 24h. Default: 5s."},
	"f5.pool.monitor.timeout":          {what: "Without a good answer for that long a member is down. Default: 16s."},
	"f5.pool.monitor.send":             {what: "The request of an http monitor, with \\r and \\n for line ends. Default: GET /."},
	"f5.pool.monitor.recv":             {what: "A regular expression that the answer must match. Default: any answer will do."},
	"f5.pool.members":                  {what: "Default: both servers of the lab."},
	"f5.pool.members.name":             {what: "server1, server2, or any other with an address, where nobody listens."},
	"f5.pool.members.address":          {what: "An address and a port. Default: where the lab's server of that name listens."},
	"f5.pool.members.ratio":            {what: "Its part of the connections with ratio-member. Default: 1.", least: 1, most: 65535},
	"f5.pool.members.connection-limit": {what: "Connections at a time; 0 means any number."},
	"f5.pool.members.state":            {what: "Default: enabled."},
	"f5.snat":                          {what: "Which address the members see."},
	"f5.snat.type":                     {what: "automap: the f5's own; snatpool: one of members; none: the client's. Default: automap."},
	"f5.snat.members":                  {what: "The addresses of a snatpool, of the serverside VLAN."},
	"f5.snat.ports":                    {what: "Source ports of each address, so that they run out sooner. Default: all.", least: 1, most: 28224},
	"f5.fastl4":                        {what: "The profile of a fastl4 virtual server."},
	"f5.fastl4.idle-timeout":           {what: "Without a packet for that long the flow ends. Default: 5m."},
	"f5.fastl4.reset-on-timeout":       {what: "false: it is forgotten without a RST. Default: true."},
	"f5.fastl4.tcp-handshake-timeout":  {what: "How long a handshake may take. Default: 5s."},
	"f5.http":                          {what: "The http profile."},
	"f5.http.max-header-size":          {what: "Bytes of a request's header. Default: 32768."},
	"f5.http.max-header-count":         {what: "Lines of a request's header. Default: 64."},
	"f5.http.insert-xforwarded-for":    {what: "Tells the members the client's address. Default: false."},
	"f5.http.lb-failed":                {what: "What a client gets whose request no member answers. Default: reset."},
	"f5.client-ssl":                    {what: "The client-ssl profile: TLS ends at the f5."},
	"f5.client-ssl.handshake-timeout":  {what: "How long a TLS handshake may take. Default: 10s."},
	"f5.client-ssl.ciphers":            {what: "TLS 1.2 suites by IANA's names, with colons between them."},
	"f5.client-ssl.min-version":        {what: "The oldest TLS that is spoken."},
	"f5.client-ssl.max-version":        {what: "The newest TLS that is spoken."},
	"f5.rules":                         {what: "What an iRule for HTTP_REQUEST would say; the first that matches decides."},
	"f5.rules.path":                    {what: "What the request's target begins with. Left out: any."},
	"f5.rules.header":                  {what: "\"Name: value\". Left out: any."},
	"f5.rules.do":                      {what: "reject resets the client; drop forgets the connection without a packet."},
	"f5.rst-cause":                     {what: "Where the cause of a RST shows beside the trailer (K13223)."},
	"f5.rst-cause.packet":              {what: "tm.rstcause.pkt: in the RST's payload."},
	"f5.rst-cause.log":                 {what: "tm.rstcause.log: a line in /var/log/ltm for each."},
	"f5.ethernet-trailer":              {what: "dpt as of TMOS 14, or legacy as before. Default: dpt."},
	"f5.tcpdump":                       {what: "What is typed behind tcpdump -i on the box, such as \"0.0:nnnp host 198.18.50.88\". Default: 0.0:nnn."},

	"firewall":                       {what: "Makes the firewall a stateful one. Left out, it knows of no sessions and forwards everything."},
	"firewall.max-sessions":          {what: "Sessions in its table, open ones and those that it still holds. Default: 1000000.", least: 1, most: 1_000_000},
	"firewall.timeout-tcp":           {what: "A session on which nothing passes for that long is forgotten: 100ms to 24h. Default: 1h."},
	"firewall.timeout-tcp-time-wait": {what: "How long a session is held after its FIN or RST: 100ms to 24h. Default: 15s."},
	"firewall.tuple-reuse":           {what: "A SYN of the 5-tuple of a session that is held: accept begins the next session. Default: accept."},
	"firewall.challenge-ack":         {what: "An ACK by which a server answers a SYN (RFC 5961). Default: accept."},
	"firewall.syn-rate":              {what: "SYNs a second, of all sessions together. Default: any number.", least: 1, most: 1_000_000},
	"firewall.syn-burst":             {what: "SYNs at once. Default: as many as syn-rate.", least: 1, most: 1_000_000},

	"faults":             {what: "What is broken. Each is of packets, which are hit on their way, or of an actor, who misbehaves."},
	"faults.name":        {what: "Letters, digits and hyphens. The seed's dice are thrown for it by this name.", pattern: `^[A-Za-z0-9-]{1,64}$`},
	"faults.at":          {what: "A node or a link: firewall, link:f5-firewall, server2, client."},
	"faults.direction":   {what: "Of the packets; an actor's fault has none."},
	"faults.match":       {what: "Which packets. ack: with nothing else in them; data and response: with bytes; large-data: in packets of more bytes than larger-than; after-syn: all but SYN and RST, which a server drops whose listen queue is full."},
	"faults.do":          {what: "drop or reject packets; or what an actor does instead of its part."},
	"faults.after":       {what: "Of an actor that takes its time: how much of it, such as 3s."},
	"faults.port":        {what: "Of a client that connects elsewhere.", least: 1, most: 65535},
	"faults.larger-than": {what: "Of large-data: the bytes of the largest IP packet that passes.", least: 576, most: 1499},
	"faults.per":         {what: "What is hit: a connection with all that matches, by seed, request and attempt; a tuple, by a hash of its addresses; or single packets."},
	"faults.probability": {what: "0 to 1; both ends are exact: never and always.", least: 0, most: 1},

	"observe": {what: "Faults of the observer; there are none yet."},

	"expect":              {what: "The right answers, in the names that an analyzer can know. The truth of every fault must be among them."},
	"expect.hop":          {what: "A captured node, or the link between two of them. Empty for inconclusive."},
	"expect.cause":        {what: "What went wrong there."},
	"expect.accept":       {what: "Answers that are right as well."},
	"expect.accept.hop":   {what: "A captured node, or the link between two of them. Empty for inconclusive."},
	"expect.accept.cause": {what: "What went wrong there."},

	"lesson":               {what: "What the scenario teaches."},
	"lesson.questions":     {what: "What to find out."},
	"lesson.hints":         {what: "From the first to the last, ever closer."},
	"lesson.answer":        {what: "The answer, and how the captures show it."},
	"lesson.on-the-device": {what: "What to type on the real one."},
}

func init() {
	// Both halves have a tcp profile.
	for key, p := range map[string]property{
		"":                     {what: "The tcp profile of this half."},
		".syn-max-retrans":     {what: "SYNs after the first. Default: 3.", least: 0, most: 12},
		".syn-rto-base":        {what: "Wait for the answer to the first SYN, from 10ms on. Default: 1s; a BIG-IP ships with 3s."},
		".syn-backoff":         {what: "Whether the wait grows with each SYN. Default: constant; a BIG-IP ships with doubling."},
		".timestamps":          {what: "false: no TCP timestamps, on both halves, and random initial sequence numbers on the serverside one. Default: true."},
		".max-retrans":         {what: "Retransmissions of a segment. Default: 8."},
		".minimum-rto":         {what: "Wait before the first of them; it doubles. Default: 1s."},
		".idle-timeout":        {what: "Without a packet for that long the flow ends; the smaller one of both halves counts. Default: 5m."},
		".reset-on-timeout":    {what: "false: the flow is forgotten without a RST. Default: true."},
		".zero-window-timeout": {what: "How long the other end's window may be shut. Default: 20s."},
		".keep-alive-interval": {what: "Whole seconds. Default: 30m."},
		".close-wait-timeout":  {what: "For the answer to the FIN that comes second. Default: 5s."},
		".fin-wait-timeout":    {what: "For the answer to the FIN that comes first. Default: 5s."},
	} {
		properties["f5.clientside"+key], properties["f5.serverside"+key] = p, p
	}
}
