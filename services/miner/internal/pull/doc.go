// Package pull has the engine fetch the models that its owner wants and that it lacks.
//
//	lacking --pulled--> there, offered at the runner's next look
//	   ^  |
//	   |  | fails
//	   +--+ after a wait that doubles
//
// One model is pulled at a time: two would only share the line. What is there is never touched, so a
// model does not change under its jobs because its registry has a newer one.
//
// Start at Puller.Run.
package pull
