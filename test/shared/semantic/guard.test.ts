import { describe, expect, it } from 'vitest'
import { createDictionary } from '../../../shared/drivers/dictionary-english.ts'
import { judge } from '../../../shared/semantic/guard.ts'

const isWord = createDictionary()

/** Pairs of our own, none of the measured file's. */
const same: Record<string, [string, string][]> = {
  'slips of the keyboard': [
    ['What is the capital of Hungary?', 'waht is teh captial of hungary'],
    ['Convert 5 miles to kilometres.', 'convrt 5 miles to kilometers'],
    ['Which vitamins are in spinach?', 'whcih vitamns are in spinnach?'],
    ['Explain photosynthesis in simple terms.', 'explane photosinthesis in simple tems'],
    ['When was the Berlin Wall built?', 'When was the Berlin Wall biult?'],
    ['How do I renew my driving licence?', 'how do i renew my drivng licence'],
  ],
  'phrases in another order': [
    [
      'For a beginner, which programming language is best?',
      'Which programming language is best for a beginner?',
    ],
    [
      'If my flight is delayed by three hours, what compensation do I get?',
      'What compensation do I get if my flight is delayed by 3 hours?',
    ],
    ['In 2019, who won the Champions League?', 'Who won the Champions League in 2019?'],
    ['Using Python, how can I read a CSV file?', 'How can I read a CSV file using Python?'],
    ['I have a fever and a cough. What should I do?', 'What should I do? I have a fever and a cough.'],
    ['After how many months does the trial end?', 'The trial ends after how many months?'],
    ['On an iPhone, how do I take a screenshot?', 'How do I take a screenshot on an iPhone?'],
    [
      'From Berlin to Prague, how long does the train take?',
      'How long does the train take from Berlin to Prague?',
    ],
  ],
  'active and passive': [
    ['Who wrote Hamlet?', 'By whom was Hamlet written?'],
    ['Who wrote Hamlet?', 'Hamlet was written by whom?'],
    ['How do bees produce honey?', 'How is honey produced by bees?'],
    ['Which company makes the iPhone?', 'The iPhone is made by which company?'],
    ['How should I store fresh basil?', 'How should fresh basil be stored?'],
    ['Who can cancel an order?', 'By whom can an order be cancelled?'],
    ['Can I freeze cooked rice?', 'Can cooked rice be frozen?'],
  ],
  'objects and adverbs anywhere': [
    ['Which movie did Spielberg direct in 1993?', 'Which movie was directed by Spielberg in 1993?'],
    ['Does the warranty cover water damage?', 'Is water damage covered by the warranty?'],
    ['Can I pay the invoice by bank transfer?', 'Can the invoice be paid by bank transfer?'],
    ['Has the FDA approved this drug?', 'Has this drug been approved by the FDA?'],
    ['Which team won the 2018 World Cup?', 'The 2018 World Cup was won by which team?'],
    [
      'With a budget of 500 euros, which laptop should I buy?',
      'Which laptop should I buy with a budget of 500 euros?',
    ],
    ["My laptop won't turn on after the update. Why?", "Why won't my laptop turn on after the update?"],
    ['Explain, in two sentences, how DNS works.', 'Explain how DNS works in two sentences.'],
    [
      'Give me, as a table, the population of the Nordic countries.',
      'Give me the population of the Nordic countries as a table.',
    ],
    ['How can I quickly learn Spanish?', 'How can I learn Spanish quickly?'],
    ['What is the weather today in Rome?', 'What is the weather in Rome today?'],
    ['What is the difference between TCP and UDP?', 'What is the difference between UDP and TCP?'],
    ['How long is the Danube?', 'What is the length of the Danube?'],
    ['How much does a stamp cost?', 'What does a stamp cost?'],
    ['Is it possible to freeze cheese?', 'Can I freeze cheese?'],
  ],
  politeness: [
    ['Explain compound interest.', 'I would appreciate an explanation of compound interest.'],
    ['Where is my parcel?', 'Could you point me to where my parcel is?'],
    [
      'How do I change my email address?',
      'Hi there! Could you please tell me how I can change my email address? Thanks a lot!',
    ],
    ['Translate "good night" into French.', 'Would you mind translating "good night" into French?'],
    [
      'List three side effects of ibuprofen.',
      'Could you list three side effects of ibuprofen for me, please?',
    ],
    ['When does the shop close on Sundays?', 'I was wondering when the shop closes on Sundays.'],
    [
      'How many calories are in a banana?',
      'Sorry to bother you, but do you happen to know how many calories are in a banana?',
    ],
    ['Explain recursion.', "I'd be grateful if you could explain recursion."],
    ['Recommend a book about Rome.', 'Might I ask you to recommend a book about Rome?'],
    [
      'How do I descale a kettle?',
      'I would really appreciate it if you could tell me how to descale a kettle. Thank you in advance!',
    ],
    ['What does this error mean?', 'Can anyone help me? What does this error mean?'],
  ],
  'register and contractions': [
    ["What's the boiling point of water?", 'What is the boiling point of water?'],
    ['How do I get to the airport?', 'How does one get to the airport?'],
    ['How do you boil an egg?', 'How can I boil an egg?'],
    ["I can't log in. What do I do?", 'I cannot log in. What can I do?'],
    ['Where can I find the invoice?', 'Where is the invoice?'],
    ['How to descale a kettle?', 'How do I descale a kettle?'],
    ['What is the way to peel a mango?', 'How do I peel a mango?'],
    ['Tell me the tallest building in Dubai.', 'What is the tallest building in Dubai?'],
    ['price of a first-class stamp', 'What is the price of a first-class stamp?'],
  ],
  abbreviations: [
    ['What does the EU do?', 'What does the European Union do?'],
    ['What is the GDP of France?', 'What is the gross domestic product of France?'],
    ['How do I start a VM?', 'How do I start a virtual machine?'],
    ['Where is the config file?', 'Where is the configuration file?'],
    ['What is i18n?', 'What is internationalization?'],
    ['Who is the president of the USA?', 'Who is the president of the United States of America?'],
  ],
}

const other: Record<string, [string, string][]> = {
  direction: [
    ['Convert EUR to USD.', 'Convert USD to EUR.'],
    ['Who beat Germany?', 'Who did Germany beat?'],
    ['Who beat Germany?', 'Who was beaten by Germany?'],
    ['Does smoking cause stress?', 'Does stress cause smoking?'],
    ['Flights from Oslo to Rome', 'Flights from Rome to Oslo'],
    ['How do I copy files from my phone to my laptop?', 'How do I copy files from my laptop to my phone?'],
    ['How much is 250 dollars in euros?', 'How much is 250 euros in dollars?'],
    ['Can a parent claim for a child?', 'Can a child claim for a parent?'],
  ],
  negation: [
    ['Which fruits contain vitamin C?', 'Which fruits do not contain vitamin C?'],
    ['Can I travel with a visa?', 'Can I travel without a visa?'],
    ['Why is the sky blue?', "Why isn't the sky blue?"],
    ['How do I enable two-factor login?', 'How do I disable two-factor login?'],
    ['How do I install Docker?', 'How do I uninstall Docker?'],
    ['Is it legal to park here?', 'Is it illegal to park here?'],
  ],
  'numbers and units': [
    ['What happened in 1917?', 'What happened in 1971?'],
    ['Is 5 kg too heavy?', 'Is 5 g too heavy?'],
    ['List at least 5 ideas.', 'List at most 5 ideas.'],
    ['What is 10% of 80?', 'What is 80% of 10?'],
    ['What is 3 - 5?', 'What is 5 - 3?'],
    ['Is -5 degrees cold?', 'Is 5 degrees cold?'],
    ['What is new in Python 2?', 'What is new in Python 3?'],
    ['Is a < b?', 'Is a > b?'],
    ['What is 2.5 squared?', 'What is 25 squared?'],
  ],
  'named things': [
    ['What is the story of Turkey?', 'What is the story of turkey?'],
    ['Who was Gustav Mahler?', 'Who was Gustav Mahner?'],
    ['Weather in Vienna', 'Weather in Vientiane'],
    ['How do I print in C?', 'How do I print in C++?'],
    ['What is in file.txt?', 'What is in File.txt.bak?'],
  ],
  'scope, condition and kind': [
    ['Which employees get a bonus?', 'Which employees only get a bonus?'],
    ['Do all birds fly?', 'Do some birds fly?'],
    ['What is the cheapest phone?', 'What is the best phone?'],
    ['What do I do if it rains?', 'What do I do unless it rains?'],
    ['What do I do before surgery?', 'What do I do after surgery?'],
    ['Why was Rome founded?', 'When was Rome founded?'],
    ['How many people live in Oslo?', 'How do people live in Oslo?'],
    ['Who is the president of Chile?', 'Who was the president of Chile?'],
    ['Should I call a doctor?', 'Must I call a doctor?'],
    ['How do I clean a car?', 'How do I clean a carpet?'],
    ['Which county is the largest?', 'Which country is the largest?'],
    ['How do I write to my employer?', 'How do I write to my employee?'],
    ['What is my daughter allowed to eat?', 'What is your daughter allowed to eat?'],
    ['Explain recursion.', 'Explain recursion to a child.'],
    ['Write a poem.', 'Write a poem. Write it in German.'],
    ['Cancel my order.', 'Can I cancel my order?'],
    ['Reset my password.', 'How do I reset my password?'],
    ['It does not start. It does beep.', 'It does start. It does not beep.'],
    ['I want tea but not milk.', 'I do not want tea but milk.'],
    ['What do I do when it rains?', 'What do I do if it rains?'],
    ['Which country borders Chad?', 'Which country does Chad border?'],
    ['What does he want?', 'What does she want?'],
    ['Where is it made?', 'Where is it sold?'],
  ],
}

describe('the guard of the semantic cache', () => {
  for (const [kind, pairs] of Object.entries(same)) {
    it.each(pairs)(`${kind}: “%s” is “%s”`, (a, b) => {
      expect(judge(a, b, { isWord })).toBe('same')
      expect(judge(b, a, { isWord })).toBe('same')
    })
  }
  for (const [kind, pairs] of Object.entries(other)) {
    it.each(pairs)(`${kind}: “%s” is not “%s”`, (a, b) => {
      expect(judge(a, b, { isWord })).not.toBe('same')
      expect(judge(b, a, { isWord })).not.toBe('same')
    })
  }
})
