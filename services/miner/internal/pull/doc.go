// Package pull has the engine fetch models that it lacks: those that its owner wants, and of those that its
// owner allows the ones that a coordinator asks for.
//
//	               asked for ---------------+        +--pulled--> there, offered at the runner's next look
//	                   ^                    v        |
//	owner's: lacking --+--its turn--> being pulled --+--fails--> resting: the owner's is tried again after a wait
//	                                        |                    that doubles, one that was asked for only when it
//	                                        +--wanted no more    is asked for anew, and no sooner than that
//
// One model is pulled at a time: two would only share the line. Those that were asked for go first, for a
// job waits. What is there is never touched, so a model does not change under its jobs because its registry
// has a newer one.
//
// Start at Puller.Run.
package pull
