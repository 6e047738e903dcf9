// Package replica makes several coordinators of one operator work on one database as one.
//
//	Beat (each second) --> Membership: who is here, which duties are ours
//	    gained a shard     --> Jobs.Take: its jobs go on here
//	    gained Settling    --> the settlement runs here
//	    lost our own row   --> ErrFenced: this run of the process ends, and a new one begins
//
//	outcome of a job elsewhere --Settle--> the replica that has its shard
//	client's or miner's call   --the same call, with a token--> the replica that has the job's shard
//	jobs wait and no slot is free here --Notify--> others, which take what they have free slots for
//
// Who is authoritative: the database. A replica that was removed from it commits nothing any more,
// whatever it believes, since every transaction names its row; a job's shard says who has the job, and
// a job is taken from a shard by compare-and-set. What travels between replicas is never needed to be
// right: a call that is lost or late is repeated, or what it would have said is found in the store.
//
// Authentication: every call between replicas carries a token, signed by the operator's key, that
// names the called replica and dies in seconds; with TLS, the called one is known by the hash of its
// certificate, which it wrote into the database.
//
// Goroutines: Run has one for each of beats, miners of others and relief, and the settlement's; the
// lock guards what they share. Start with Member.
package replica
