/** A process of one subject. */
import { serve } from '../measuring/serve.js'
import type { Place } from './subject.js'
import { isName, SUBJECTS } from './subjects.js'
import { Tasks } from './tasks.js'

const [, , name, place] = process.argv
if (!isName(name) || place === undefined) throw new Error('usage: child NAME PLACE')
serve(new Tasks(await SUBJECTS[name](), JSON.parse(place) as Place))
