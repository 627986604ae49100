export const NAMES = ['Ada', 'Barbara', 'Leslie', 'Donald', 'Edsger', 'Frances', 'Grace', 'Hedy'] as const

export const REACTIONS = ['👍', '🎉', '❤️', '😂'] as const

export const THREADS = [
  'How long may a cache entry live?',
  'A like that was sent twice',
  'Which limit for which plan?',
  'What happens when a primary dies?',
  'Ids that two tenants share',
  'Replies, and how deep they go',
  'Reading a thread of a thousand comments',
  'Deleting without losing the answers',
  'Two people edit the same comment',
  'Where does an answer come from?',
  'Why the clock of the server counts',
  'What a lock can promise, and what not',
] as const

export const COMMENTS = [
  'Sample text. Read this thread twice: the second answer comes out of the cache.',
  'Sample text. Like it, then like it again: the count moves once.',
  'Sample text. I would rather wait a second than read what was deleted.',
  'Sample text. Write a reply, and the thread that everybody reads is loaded anew.',
  'Sample text. The number of this comment exists in every tenant of this sample.',
  'Sample text. Ask quickly, and a small plan says when to come back.',
  'Sample text. Longer, to see how a paragraph wraps: a comment may be a line or an essay, it may come with numbers, dates or a list of names, and it should still be easy to read on a narrow screen.',
  'Sample text. Does anybody have figures?',
  'Sample text. Yes: see the timings beside the thread.',
  'Sample text. Not only ASCII: naïve, Zürich, 東京, עברית, 🙂.',
  'Sample text. <b>This is text, not markup.</b>',
  'Sample text. Agreed, and it holds for edits too.',
  'Sample text. Stop a node and read on.',
] as const
